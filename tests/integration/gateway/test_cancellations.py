"""Cancelling over HTTP, in every state that a task can be in."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from services.gateway.cancellations import Cancellations
from services.gateway.credentials import LOCAL
from services.gateway.decisions import MOST_TRIES, Decisions
from services.gateway.recent_writes import RecentWrites
from shared.domain.errors import VersionConflict
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from tests.builders import WORKER, in_phase, running, stamp
from tests.integration.gateway.stage import Stage


async def _stored(stage: Stage, phase: Phase) -> WorkflowExecution:
    execution = in_phase(phase)
    await stage.log.append(execution.collect_events())
    return execution


@pytest.mark.parametrize(
    ("phase", "status", "answer"),
    [
        (Phase.WAITING, 200, {"state": "REVOKED", "was": "queued", "cancelling": False}),
        (Phase.RETRY_WAIT, 200, {"state": "REVOKED", "was": "retrying", "cancelling": False}),
        (Phase.RETRY_DUE, 200, {"state": "REVOKED", "was": "retrying", "cancelling": False}),
        (Phase.RUNNING, 202, {"state": "STARTED", "was": "running", "cancelling": True}),
        (Phase.CANCELLING, 202, {"state": "STARTED", "was": "running", "cancelling": True}),
        (Phase.CANCELLED, 200, {"state": "REVOKED", "was": "cancelled", "cancelling": False}),
    ],
)
async def test_the_answer_tells_what_the_task_was_and_is(
    stage: Stage, phase: Phase, status: int, answer: dict[str, object]
) -> None:
    """A waiting task is cancelled at once, a running one by its worker."""
    execution = await _stored(stage, phase)
    response = await stage.client.delete(f"/api/tasks/{execution.id}")
    assert (response.status_code, response.json()) == (status, {"task_id": str(execution.id), **answer})


@pytest.mark.parametrize("phase", [Phase.CANCELLING, Phase.CANCELLED])
async def test_cancelling_again_adds_no_event(stage: Stage, phase: Phase) -> None:
    """A repeated request finds its work done."""
    execution = await _stored(stage, phase)
    await stage.client.delete(f"/api/tasks/{execution.id}?reason=again")
    assert (await stage.log.execution(execution.id)).version == execution.version


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
async def test_a_finished_task_is_not_cancelled(stage: Stage, phase: Phase) -> None:
    """What has ended stays as it ended."""
    execution = await _stored(stage, phase)
    response = await stage.client.delete(f"/api/tasks/{execution.id}")
    assert (response.status_code, response.json()["code"]) == (409, "task_already_finished")


@pytest.mark.parametrize("task_id", [str(uuid4()), "no-id", "5b0f6a0e9d0b4f5d8d0b0b6a7c1f2e30", "%00"])
async def test_an_unknown_task_is_not_found(stage: Stage, task_id: str) -> None:
    """An id that no task can have is unknown too."""
    response = await stage.client.delete(f"/api/tasks/{task_id}")
    assert (response.status_code, response.json()["code"]) == (404, "task_not_found")


async def test_the_reason_and_the_caller_are_recorded(stage: Stage) -> None:
    """The event says who wanted it and why."""
    execution = await _stored(stage, Phase.WAITING)
    await stage.client.delete(f"/api/tasks/{execution.id}", params={"reason": "markets are closed"})
    requested = (await stage.log.history(execution.id))[1].event
    assert requested.actor == "user:local"
    assert (await stage.log.execution(execution.id)).cancel_reason == "markets are closed"


async def test_a_task_that_is_claimed_meanwhile_is_decided_again(stage: Stage) -> None:
    """Claims and cancellations race for the same version; neither is lost, whoever comes first."""
    executions = [await _stored(stage, Phase.WAITING) for _ in range(20)]

    async def claim(execution: WorkflowExecution) -> bool:
        execution.claim(stamp(1), attempt=1, worker=WORKER)
        try:
            await stage.log.append(execution.collect_events())
        except VersionConflict:
            return False
        return True

    async def cancel(execution: WorkflowExecution) -> int:
        return (await stage.client.delete(f"/api/tasks/{execution.id}")).status_code

    claims = await asyncio.gather(*(claim(execution) for execution in executions[::2]), return_exceptions=False)
    answers = await asyncio.gather(
        *(claim(execution) for execution in executions[1::2]), *(cancel(execution) for execution in executions)
    )
    claimed = dict(zip([*executions[::2], *executions[1::2]], [*claims, *answers[:10]], strict=True))
    for execution, status in zip(executions, answers[10:], strict=True):
        phase = (await stage.log.execution(execution.id)).phase
        assert (status, phase) == ((202, Phase.CANCELLING) if claimed[execution] else (200, Phase.CANCELLED))


class _RestlessLog:
    """A log in which a run always moves on between being read and being appended to."""

    def __init__(self, moves: int) -> None:
        self.moves = moves
        self.run = running()
        self.run.collect_events()

    async def execution(self, _: object) -> WorkflowExecution:
        """Return the run."""
        return running(task_id=self.run.id)

    async def save_execution(self, _: object) -> list[int]:
        """Refuse as long as the run moves."""
        self.moves -= 1
        if self.moves >= 0:
            raise VersionConflict(self.run.id)
        return [1]


async def test_giving_up_comes_after_five_conflicts() -> None:
    """Four conflicts are gone through, five are reported."""
    patient, late = (
        Cancellations(Decisions(_RestlessLog(moves), RecentWrites(), now=lambda: stamp().at))  # type: ignore[arg-type]
        for moves in (MOST_TRIES - 1, MOST_TRIES)
    )
    assert (await patient.cancel(LOCAL, uuid4(), None)).execution.phase is Phase.CANCELLING
    with pytest.raises(VersionConflict):
        await late.cancel(LOCAL, uuid4(), None)
