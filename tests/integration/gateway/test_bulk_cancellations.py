"""Cancelling many tasks over HTTP: what matches, what is decided, and what nobody may cancel by accident."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from services.gateway import bulk_cancellations
from services.gateway.bulk_cancellations import MOST_TASKS, BulkCancellations
from services.gateway.credentials import LOCAL
from services.gateway.decisions import Decisions
from services.gateway.recent_writes import RecentWrites
from services.gateway.selection import CancelRequest
from services.gateway.status_client import StatusClient
from shared.domain.errors import VersionConflict
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.log.async_event_log import AsyncEventLog
from shared.log.event_log import EventLog
from shared.log.recorder import Guard
from tests.builders import WORKER, complete_all, in_phase, stamp, submitted
from tests.fake_status import FakeStatus
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user

HELD_BY_NOBODY = (Phase.HELD, Phase.RETRY_WAIT, Phase.AT_JOIN)
"""Not to be claimed, and no worker has it: at a join, as long as no branch is at work."""
EVERYTHING: dict[str, Any] = {"filter": {}, "all": True}


async def _stored(stage: Stage, *executions: WorkflowExecution) -> None:
    for execution in executions:
        stage.status.show(execution)
        await stage.log.append(execution.collect_events())


async def _cancel(stage: Stage, body: Any, *, key: str | None = None) -> tuple[int, dict[str, Any]]:
    response = await stage.client.post("/api/tasks/cancel", json=body, headers=as_user(key) if key else {})
    return response.status_code, response.json()


async def _phases(stage: Stage, *executions: WorkflowExecution) -> list[Phase]:
    return [(await stage.log.execution(execution.id)).phase for execution in executions]


async def test_every_task_is_told_to_stop_and_the_finished_are_counted(stage: Stage) -> None:
    """Those that wait are cancelled, those that run are told, those that have ended stay as they are."""
    by_phase = {phase: in_phase(phase) for phase in Phase}
    await _stored(stage, *by_phase.values())
    status, answer = await _cancel(stage, EVERYTHING | {"reason": "markets are closed"})
    told = {str(by_phase[phase].id) for phase in (Phase.RUNNING, Phase.CANCELLING)}
    waiting = {str(run.id) for phase, run in by_phase.items() if phase.claimable or phase in HELD_BY_NOBODY}
    assert status == 202
    assert (set(answer["cancelling_ids"]), set(answer["task_ids"])) == (told, waiting | told)
    assert {name: answer[name] for name in ("count", "cancelled", "cancelling", "finished")} == {
        "count": 10,
        "cancelled": 8,
        "cancelling": 2,
        "finished": 3,
    }
    for phase, run in by_phase.items():
        now = await stage.log.execution(run.id)
        expected = phase if phase.ended else Phase.CANCELLING if str(run.id) in told else Phase.CANCELLED
        assert now.phase is expected
    assert (await stage.log.execution(by_phase[Phase.WAITING].id)).cancel_reason == "markets are closed"
    assert (await stage.log.history(by_phase[Phase.WAITING].id))[1].event.actor == "user:local"


async def test_cancelling_again_adds_no_event(stage: Stage) -> None:
    """A repeated request finds its work done, also when the projection does not know it yet."""
    await _stored(stage, in_phase(Phase.WAITING), in_phase(Phase.RUNNING))
    await _cancel(stage, EVERYTHING)
    head = await stage.log.head()
    _, answer = await _cancel(stage, EVERYTHING)
    assert (await stage.log.head(), answer["count"], answer["cancelling"], answer["finished"]) == (head, 1, 1, 1)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"strategy_id": "other"}, "a"),
        ({"symbol": "BTC/USD"}, "c"),
        ({"priority": "high"}, "b"),
        ({"user_id": "b"}, "b"),
        ({"schedule_id": "s-1"}, "c"),
        ({"label": "desk:eu"}, "ab"),
        ({"label": ["desk:eu", "team:x:y"]}, "a"),
        ({"label": ["desk:eu", "desk:us"]}, ""),
        ({"since": "2026-03-02T14:30:01Z"}, "bc"),
        ({"until": "2026-03-02T15:30:01+01:00"}, "a"),
        ({"state": "PENDING"}, "abc"),
        ({"status": "queued", "priority": "normal"}, "ac"),
        ({"state": "RETRY"}, ""),
        ({"state": "SUCCESS"}, ""),
    ],
)
async def test_the_conditions_are_those_of_the_list(stage: Stage, wanted: dict[str, Any], found: str) -> None:
    """All of them must hold; what does not match is left alone."""
    runs = {
        "a": submitted(at=stamp(0), user_id="a", strategy_id="other", labels={"desk": "eu", "team": "x:y"}),
        "b": submitted(at=stamp(1), user_id="b", priority=Priority.HIGH),
        "c": submitted(at=stamp(2), user_id="c", symbols=("BTC/USD",), labels={}, schedule_id="s-1"),
    }
    await _stored(stage, *runs.values())
    status, answer = await _cancel(stage, {"filter": wanted})
    assert (status, answer["count"]) == (200, len(found))
    assert set(answer["task_ids"]) == {str(runs[name].id) for name in found}
    ended = {name for name, run in runs.items() if (await stage.log.execution(run.id)).phase is Phase.CANCELLED}
    assert ended == set(found)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {}, "all": False}, "filter"),
        ({"filter": {"symbol": "MSFT"}, "all": True}, "filter"),
        ({"filter": {"user_id": None}}, "filter.user_id"),
        ({"filter": {"label": []}}, "filter.label"),
        ({"filter": {"label": "no colon"}}, "filter.label.0"),
        ({"filter": {"stat": "PENDING"}}, "filter.stat"),
        ({"filter": {"state": "waiting"}}, "filter.state"),
        ({"filter": {"since": "yesterday"}}, "filter.since"),
        ({"filter": {"limit": 5}}, "filter.limit"),
        ({"filter": "all"}, "filter"),
        ({"filter": {"symbol": "MSFT"}, "reason": "\n"}, "reason"),
        ({"filter": {"symbol": "MSFT"}, "force": True}, "force"),
        ({"filter": {}, "all": "yes"}, "all"),
    ],
)
async def test_a_filter_that_is_empty_or_wrong_cancels_nothing(stage: Stage, body: Any, field: str) -> None:
    """Whoever means every task says so; a condition that is null, misspelt or unknown is never passed over."""
    await _stored(stage, run := in_phase(Phase.WAITING))
    status, problem = await _cancel(stage, body)
    assert (status, problem["code"]) == (422, "invalid_request"), problem
    assert field in [error["field"] for error in problem["errors"]]
    assert await _phases(stage, run) == [Phase.WAITING]


@pytest.mark.parametrize(
    ("key", "body", "status", "cancelled"),
    [
        (VERA, EVERYTHING, 403, ""),
        (BOB, {"filter": {"user_id": "ada"}}, 403, ""),
        (BOB, EVERYTHING, 200, "b"),
        (ADA, {"filter": {"symbol": "MSFT"}}, 200, "a"),
        (ADA, {"filter": {"user_id": "ada"}}, 200, "a"),
        (ROOT, {"filter": {"user_id": "ada"}}, 200, "a"),
        (ROOT, EVERYTHING, 200, "ab"),
    ],
)
async def test_traders_cancel_their_own_and_admins_anybodys(
    keyed: Stage, key: str, body: Any, status: int, cancelled: str
) -> None:
    """For a trader, all means all of its own."""
    runs = {"a": submitted(user_id="ada"), "b": submitted(user_id="bob")}
    await _stored(keyed, *runs.values())
    answered, answer = await _cancel(keyed, body, key=key)
    assert answered == status
    assert answer.get("count", 0) == len(cancelled)
    phases = dict(zip(runs, await _phases(keyed, *runs.values()), strict=True))
    assert {name for name, phase in phases.items() if phase is Phase.CANCELLED} == set(cancelled)


async def test_what_the_projection_does_not_know_yet_is_not_missed(stage: Stage) -> None:
    """What was submitted before the request came is found in the log, and judged by the same conditions."""
    known, fresh, other = submitted(), submitted(), submitted(user_id="bob")
    await _stored(stage, known)
    stage.status.position = await stage.log.head()
    await stage.log.append([*fresh.collect_events(), *other.collect_events()])
    status, answer = await _cancel(stage, {"filter": {"user_id": "ada"}})
    assert (status, answer["task_ids"], answer["finished"]) == (200, [str(known.id), str(fresh.id)], 0)
    assert await _phases(stage, known, fresh, other) == [Phase.CANCELLED, Phase.CANCELLED, Phase.WAITING]


async def test_what_the_projection_knows_otherwise_is_not_missed(stage: Stage) -> None:
    """A run that waits again, and is still shown as running, is among the queued ones."""
    await _stored(stage, run := in_phase(Phase.RUNNING))
    stage.status.position = await stage.log.head()
    run.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=3)
    await stage.log.append(run.collect_events())
    _, answer = await _cancel(stage, {"filter": {"status": "queued"}})
    assert answer["task_ids"] == [str(run.id)]


async def test_a_projection_that_is_far_behind_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many events nothing is cancelled, and the answer says so."""
    monkeypatch.setattr(bulk_cancellations, "MOST_BEHIND", 1)
    run, other = submitted(), submitted()
    await _stored(stage, run, other)
    stage.status.position = await stage.log.head() - 2
    status, problem = await _cancel(stage, EVERYTHING)
    assert (status, problem["code"]) == (503, "projection_behind")
    assert await _phases(stage, run, other) == [Phase.WAITING, Phase.WAITING]
    stage.status.position += 1
    assert (await _cancel(stage, EVERYTHING))[0] == 200
    assert await _phases(stage, run, other) == [Phase.CANCELLED, Phase.CANCELLED]


async def test_without_the_status_service_nothing_is_cancelled(stage: Stage) -> None:
    """It alone knows what matches; the answer says that nothing has happened, and what to do."""
    await _stored(stage, run := in_phase(Phase.WAITING))
    stage.status.away = True
    status, problem = await _cancel(stage, EVERYTHING)
    assert (status, problem["code"]) == (503, "unavailable")
    assert problem["detail"].startswith("0 tasks are cancelled so far; send it again")
    assert await _phases(stage, run) == [Phase.WAITING]


async def test_the_record_decides_and_not_the_projection(stage: Stage) -> None:
    """What has moved on since the status service named it is judged by what it is now."""
    ended, started, waiting = (in_phase(Phase.WAITING) for _ in range(3))
    await _stored(stage, ended, started, waiting)
    for execution in (ended, started):
        execution.claim(stamp(1), attempt=1, worker=WORKER)
    complete_all(ended)
    await stage.log.append([*ended.collect_events(), *started.collect_events()])
    _, answer = await _cancel(stage, {"filter": {"status": "queued"}})
    assert (answer["task_ids"], answer["finished"]) == ([str(waiting.id)], 0)
    assert await _phases(stage, ended, started, waiting) == [Phase.SUCCEEDED, Phase.RUNNING, Phase.CANCELLED]


class _Meddling(AsyncEventLog):
    """A log in which a worker claims runs just after they were read; it counts the appends and the events read."""

    victims: set[UUID]
    appends = 0
    most_read = 0

    async def executions(self, task_ids: Sequence[UUID]) -> list[WorkflowExecution]:
        """Read, and let a worker be faster than whoever reads."""
        found = await super().executions(task_ids)
        self.most_read = max(self.most_read, len(found))
        for victim in self.victims.intersection(task_ids):
            self.victims.discard(victim)
            execution = await self.execution(victim)
            execution.claim(stamp(1), attempt=1, worker=WORKER)
            await super().append(execution.collect_events())
        return found

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append, and count."""
        self.appends += 1
        return await super().append(events, guard=guard)


@asynccontextmanager
async def _meddled(database_url: str, number: int) -> AsyncIterator[tuple[_Meddling, BulkCancellations, list[UUID]]]:
    """Open a log with so many waiting runs, and what cancels them."""
    runs = [submitted() for _ in range(number)]
    status = FakeStatus()
    status.show(*runs)
    async with (
        _Meddling(database_url) as log,
        StatusClient("http://status", transport=status.transport) as client,
    ):
        log.victims = set()
        await log.append([event for run in runs for event in run.collect_events()])
        log.appends = 0
        writes = RecentWrites()
        decisions = Decisions(log, writes, now=lambda: stamp().at)
        yield log, BulkCancellations(log, client, writes, decisions), [run.id for run in runs]


async def test_those_that_are_claimed_meanwhile_hold_up_nobody(migrated_database_url: str) -> None:
    """A conflict splits its group: each run is decided once more, and the others share their transactions."""
    async with _meddled(migrated_database_url, 64) as (log, cancellations, ids):
        log.victims = {ids[5], ids[40]}
        done = await cancellations.cancel(LOCAL, CancelRequest.model_validate(EVERYTHING))
        assert set(done.cancelling) == {ids[5], ids[40]}
        assert set(done.cancelled) == set(ids) - {ids[5], ids[40]}
        assert log.appends == 3
        phases = {execution.phase for execution in await log.executions(done.cancelled)}
        assert phases == {Phase.CANCELLED}


async def test_a_run_that_never_stands_still_is_given_up(migrated_database_url: str) -> None:
    """Five conflicts of one run in a row are reported, and not gone through for ever."""
    async with _meddled(migrated_database_url, 1) as (log, cancellations, _):

        async def conflict(events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
            log.appends += 1
            raise VersionConflict(events[0].originator_id)

        log.append = conflict  # type: ignore[method-assign]
        with pytest.raises(VersionConflict):
            await cancellations.cancel(LOCAL, CancelRequest.model_validate(EVERYTHING))
        assert log.appends == 5


async def test_a_large_number_goes_in_transactions_of_a_bounded_size(migrated_database_url: str) -> None:
    """Other appends come in between; each run is read and written once."""
    async with _meddled(migrated_database_url, 2 * MOST_TASKS + 1) as (log, cancellations, ids):
        done = await cancellations.cancel(LOCAL, CancelRequest.model_validate(EVERYTHING))
        assert (set(done.cancelled), log.appends, log.most_read) == (set(ids), 3, MOST_TASKS)


async def test_tasks_with_long_histories_are_read_in_smaller_groups(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events of a group are bounded too, but for a task that has more of its own."""
    monkeypatch.setattr(bulk_cancellations, "MOST_EVENTS", 10)
    async with _meddled(migrated_database_url, 25) as (log, cancellations, ids):
        done = await cancellations.cancel(LOCAL, CancelRequest.model_validate(EVERYTHING))
        assert (set(done.cancelled), log.appends, log.most_read) == (set(ids), 3, 10)


async def test_all_pages_of_the_status_service_are_gone_through(stage: Stage) -> None:
    """It names so many at once; the finished are counted once."""
    runs = [in_phase(Phase.WAITING) for _ in range(5)]
    await _stored(stage, *runs, in_phase(Phase.FAILED))
    stage.status.most_live = 2
    _, answer = await _cancel(stage, EVERYTHING)
    assert (answer["count"], answer["finished"]) == (5, 1)
    assert await _phases(stage, *runs) == [Phase.CANCELLED] * 5


async def test_what_is_cancelled_in_bulk_is_read_as_cancelled(stage: Stage) -> None:
    """The caller reads its own writes, however far behind the projection is."""
    await _stored(stage, run := in_phase(Phase.WAITING))
    await _cancel(stage, EVERYTHING)
    assert (await stage.client.get(f"/api/tasks/{run.id}")).json()["state"] == "REVOKED"


async def test_a_task_that_moves_on_after_it_was_named_is_decided_on_its_record(
    stage: Stage, catalogue_url: str
) -> None:
    """A run that ends between being named and being read is finished, and nothing is added to it."""
    await _stored(stage, run := in_phase(Phase.RUNNING))

    def finish() -> None:
        log = EventLog(catalogue_url)
        complete_all(run)
        log.save_execution(run)
        log.close()

    stage.status.on_live = finish
    status, answer = await _cancel(stage, EVERYTHING)
    assert (status, answer["count"], answer["finished"]) == (200, 0, 1)
    assert (await stage.log.execution(run.id)).version == run.version
