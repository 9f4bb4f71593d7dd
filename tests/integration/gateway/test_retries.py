"""Retrying at once over HTTP, in every state that a task can be in."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from tests.builders import at_join, complete_next, fail_next, failure, in_phase, running, stamp
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user


async def _stored(stage: Stage, phase: Phase) -> WorkflowExecution:
    execution = in_phase(phase)
    await stage.log.append(execution.collect_events())
    return execution


async def test_a_task_that_waits_for_a_retry_goes_on_at_once(stage: Stage) -> None:
    """The answer is the task, whose retry is due; the event says who wanted it."""
    execution = await _stored(stage, Phase.RETRY_WAIT)
    response = await stage.client.post(f"/api/tasks/{execution.id}/retry")
    answer = response.json()
    assert (response.status_code, answer["task_id"], answer["state"]) == (202, str(execution.id), "RETRY")
    assert (answer["next_retry_at"], answer["reason"]) == (None, "its retry is due; waiting for a free worker")
    (due,) = (await stage.log.history(execution.id))[execution.version :]
    assert (due.event.TOPIC, due.event.actor) == ("execution.retry_due", "user:local")
    assert (await stage.client.get(f"/api/tasks/{execution.id}")).json() == answer


async def test_retrying_again_answers_the_same_and_adds_no_event(stage: Stage) -> None:
    """A repeated request finds its work done."""
    execution = await _stored(stage, Phase.RETRY_WAIT)
    first, second = [await stage.client.post(f"/api/tasks/{execution.id}/retry") for _ in range(2)]
    assert (second.status_code, second.json()) == (202, first.json())
    assert len(await stage.log.history(execution.id)) == execution.version + 1


@pytest.mark.parametrize(
    ("phase", "code", "says"),
    [
        (Phase.SUCCEEDED, "task_already_finished", "/rerun"),
        (Phase.AT_JOIN, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.JOINED, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.WAITING, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.RUNNING, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.LOST, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.PREEMPTED, "not_waiting_for_retry", "only one in state RETRY"),
        (Phase.CANCELLING, "not_waiting_for_retry", "only one in state RETRY"),
    ],
)
async def test_other_tasks_are_refused_with_what_to_do(stage: Stage, phase: Phase, code: str, says: str) -> None:
    """What has succeeded stays as it is, and a task that does not wait for a retry has none to bring forward."""
    execution = await _stored(stage, phase)
    response = await stage.client.post(f"/api/tasks/{execution.id}/retry")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, code)
    assert says in problem["detail"]
    assert (await stage.log.execution(execution.id)).version == execution.version


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
async def test_a_task_that_has_failed_or_was_cancelled_goes_on(stage: Stage, phase: Phase) -> None:
    """It waits again, without its error; what was done before stays done, and asking again finds it waiting."""
    execution = await _stored(stage, phase)
    response = await stage.client.post(f"/api/tasks/{execution.id}/retry")
    answer = response.json()
    assert (response.status_code, answer["state"], answer["status"], answer["error"]) == (
        202,
        "PENDING",
        "queued",
        None,
    )
    assert (answer["finished_at"], answer["partial_result"]) == (None, None)
    (restarted,) = (await stage.log.history(execution.id))[execution.version :]
    assert (restarted.event.TOPIC, restarted.event.actor) == ("execution.restarted", "user:local")
    assert (await stage.client.post(f"/api/tasks/{execution.id}/retry")).json()["code"] == "not_waiting_for_retry"


async def test_branches_that_wait_for_a_retry_are_hurried(stage: Stage) -> None:
    """The run waits at the join meanwhile, and says so."""
    execution = at_join()
    branch = execution.stage()[0]
    branch.claim(stamp(3), attempt=1, worker="w")
    branch.schedule_retry(stamp(4), attempt=1, failure=failure(), started_at=stamp(3).at, due_at=stamp(60).at)
    await stage.log.append(execution.collect_events())
    response = await stage.client.post(f"/api/tasks/{execution.id}/retry")
    answer = response.json()
    assert (response.status_code, answer["state"], answer["next_retry_at"]) == (202, "STARTED", None)
    (due,) = (await stage.log.history(execution.id))[execution.events :]
    assert (due.event.TOPIC, due.event.actor) == ("branch.retry_due", "user:local")
    assert (await stage.client.get(f"/api/tasks/{execution.id}")).json() == answer
    again = await stage.client.post(f"/api/tasks/{execution.id}/retry")
    assert (again.status_code, again.json()) == (202, answer)
    assert len(await stage.log.history(execution.id)) == execution.events + 1


async def test_a_task_that_goes_on_begins_with_the_step_that_failed(stage: Stage) -> None:
    """What was completed stays so, and nothing of the failure is left in the answer."""
    execution = running()
    complete_next(execution, stamp(2), "loaded")
    fail_next(execution, stamp(3))
    await stage.log.append(execution.collect_events())
    answer = (await stage.client.post(f"/api/tasks/{execution.id}/retry")).json()
    rows = (await stage.client.get(f"/api/tasks/{execution.id}/steps")).json()["items"]
    assert [(row["state"], row["output"]) for row in rows] == [("completed", "loaded"), *[("pending", None)] * 3]
    assert (answer["progress"]["current_step"], answer["error"], answer["result"]) == ("analyse", None, None)
    assert (await stage.client.get(f"/api/tasks/{execution.id}")).json() == answer


@pytest.mark.parametrize(("key", "status"), [(BOB, 403), (ADA, 202)])
async def test_nobody_restarts_the_task_of_another(keyed: Stage, key: str, status: int) -> None:
    """A task that has ended belongs to who submitted it as much as one that runs."""
    execution = await _stored(keyed, Phase.CANCELLED)
    response = await keyed.client.post(f"/api/tasks/{execution.id}/retry", headers=as_user(key))
    assert response.status_code == status
    assert (await keyed.log.execution(execution.id)).phase.ended is (status == 403)


@pytest.mark.parametrize("task_id", [str(uuid4()), "no-id"])
async def test_an_unknown_task_is_not_found(stage: Stage, task_id: str) -> None:
    """An id that no task can have is unknown too."""
    response = await stage.client.post(f"/api/tasks/{task_id}/retry")
    assert (response.status_code, response.json()["code"]) == (404, "task_not_found")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(VERA, 403, "forbidden"), (BOB, 403, "not_your_task"), (ADA, 202, None), (ROOT, 202, None)],
)
async def test_a_trader_retries_its_own_tasks_and_an_admin_any(
    keyed: Stage, key: str, status: int, code: str | None
) -> None:
    """A refused request leaves the task as it was; the runs of the builders are ada's."""
    execution = await _stored(keyed, Phase.RETRY_WAIT)
    response = await keyed.client.post(f"/api/tasks/{execution.id}/retry", headers=as_user(key))
    assert (response.status_code, response.json().get("code")) == (status, code)
    waits = (await keyed.log.execution(execution.id)).phase is Phase.RETRY_WAIT
    assert waits is (status != 202)
