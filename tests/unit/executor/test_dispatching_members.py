"""Members of a stage at work, and the dispatcher: they lose workers, are to stop, and make way."""

from __future__ import annotations

import msgspec
import pytest

from services.executor.live_run import RunState
from services.executor.pressing import FORCE_WITHIN
from services.executor.reconciling import Sighting
from shared.domain.catalogue import OnError
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.heartbeats import ActiveRun
from tests.builders import fail_member, parallel_plan, stamp, submitted
from tests.unit.executor.desk import POLICY, Desk, pointers, taken
from tests.unit.executor.live_runs import WORKER, worker


def lose(desk: Desk, run: WorkflowExecution, symbol: str) -> None:
    """Have a member claimed by a worker whose child dies under it, until the dispatcher has seen that."""
    branch = taken(run, symbol, 5)
    desk.log.save_execution(run)
    desk.see(branch, dead=(branch,))
    desk.pass_by(0.5)
    for event in desk.log.stream(branch.id)[branch.version :]:
        run.apply(event)
    desk.see()


def test_a_member_whose_worker_died_goes_on_with_its_next_attempt() -> None:
    """The others are not touched."""
    desk = Desk()
    run = desk.opened()
    other = taken(run, "IBM", 4)
    desk.log.save_execution(run)
    desk.see(other)
    desk.turn()
    lose(desk, run, "AAPL")
    assert (desk.member(run, "AAPL").phase, desk.member(run, "AAPL").losses) == (Phase.LOST, 1)
    assert desk.member(run, "IBM").phase is Phase.RUNNING
    desk.pass_by(0.25)
    assert pointers(run, "AAPL", attempt=2)[0] in desk.sender.sent


def test_a_member_whose_worker_is_silent_is_lost_and_one_that_is_listed_is_not() -> None:
    """A worker names its members by their own streams: its run, or another member of it, is somebody else."""
    desk = Desk()
    run = desk.opened()
    listed, silent = taken(run, "AAPL", 4), taken(run, "IBM", 4)
    desk.log.save_execution(run)
    for _ in range(20):
        desk.see(listed)
        desk.pass_by(0.25)
    assert (desk.member(run, "AAPL").phase, desk.member(run, "IBM").phase) == (Phase.RUNNING, Phase.LOST)
    assert silent.id != listed.id


@pytest.mark.parametrize(("on_error", "phase"), [(OnError.COLLECT, Phase.AT_JOIN), (OnError.FAIL, Phase.FAILED)])
def test_a_member_that_kills_its_workers_fails(on_error: OnError, phase: Phase) -> None:
    """At the second loss in a row, here: with its run, unless its step collects errors."""
    desk = Desk()
    run = desk.opened(steps=parallel_plan(on_error=on_error))
    desk.turn()
    lose(desk, run, "AAPL")
    lose(desk, run, "AAPL")
    failed = desk.member(run, "AAPL")
    assert (failed.phase, failed.attempts, desk.log.execution(run.id).phase) == (Phase.FAILED, 2, phase)
    record = desk.log.execution(run.id).steps["analyse", "AAPL"]
    assert record.failure is not None
    assert record.failure.type == "worker_lost"


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_members_at_work_of_a_run_that_has_ended_are_reminded_until_they_have_closed(how: str) -> None:
    """Every second, with a grace after which their child is killed."""
    desk = Desk()
    run = desk.opened(steps=parallel_plan(on_error=OnError.FAIL))
    branch = taken(run, "AAPL", 0)
    desk.log.save_execution(run)
    desk.see(branch)
    desk.turn()
    if how == "cancelled":
        run.request_cancel(stamp(1))
    else:
        fail_member(run, "IBM", stamp(1))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.interrupted == [(branch.id, 1, POLICY.cancel_grace)]
    desk.pass_by(2)
    assert len(desk.sender.interrupted) == 3
    branch.close(stamp(4), attempt=1, reason=how)
    desk.log.save_execution(run)
    desk.see()
    desk.pass_by(2)
    assert len(desk.sender.interrupted) == 3


def test_a_member_that_does_not_stop_is_closed_without_its_worker() -> None:
    """The last resort, after the grace and what a worker needs to kill; then its run is cancelled."""
    desk = Desk()
    run = desk.opened()
    branch = taken(run, "AAPL", 0)
    run.request_cancel(stamp(1))
    desk.log.save_execution(run)
    for _ in range(int((POLICY.cancel_grace + FORCE_WITHIN).total_seconds() * 4) + 8):
        desk.see(branch)
        desk.pass_by(0.25)
    assert (desk.member(run, "AAPL").phase, desk.log.execution(run.id).phase) == (Phase.CANCELLED, Phase.CANCELLED)


def test_a_member_makes_way_for_an_urgent_run() -> None:
    """It is asked in its own stream, interrupted, and starts anew after the one that it made way for."""
    desk = Desk()
    run = desk.opened(priority=Priority.LOW)
    branch = taken(run, "AAPL", 0)
    desk.log.save_execution(run)
    desk.see(branch, concurrency=1)
    desk.turn()
    high = submitted(priority=Priority.HIGH)
    desk.log.save_execution(high)
    desk.turn()
    assert desk.member(run, "AAPL").yields_to == str(high.id)
    assert desk.sender.interrupted == [(branch.id, 1, None)]
    yielding = desk.log.execution(run.id)
    yielding.members["analyse", "AAPL"].make_way(stamp(2), attempt=1)
    desk.log.save_execution(yielding)
    desk.turn()
    row = next(row for row in desk.store.load()[1] if row.symbol == "AAPL")
    assert (row.attempt, row.preemptions, row.resumed, row.asked_at) == (2, 1, True, None)
    assert row.state in (RunState.WAITING, RunState.PARKED)


def test_a_member_of_a_step_that_must_not_be_cut_short_is_spared() -> None:
    """Another run's is asked in its place."""
    desk = Desk()
    other = desk.opened(priority=Priority.LOW)
    spared = desk.opened(priority=Priority.LOW, steps=parallel_plan(preemptible=False))
    branches = [taken(run, "AAPL", 0) for run in (other, spared)]
    desk.log.save_execution(other)
    desk.log.save_execution(spared)
    desk.see(*branches, concurrency=2)
    desk.log.save_execution(submitted(priority=Priority.HIGH))
    desk.turn()
    assert desk.member(spared, "AAPL").yields_to is None
    assert desk.member(other, "AAPL").yields_to is not None


def test_a_waiting_member_of_an_urgent_run_has_others_make_way() -> None:
    """One for each that waits and has a place; parked ones make nobody yield."""
    desk = Desk()
    busy = [submitted(priority=Priority.LOW) for _ in range(4)]
    for run in busy:
        run.claim(stamp(0), attempt=1, worker=WORKER)
        desk.log.save_execution(run)
    beat = worker(concurrency=4)
    active = tuple(ActiveRun(task_id=run.id, attempt=1) for run in busy)
    workers = {WORKER: msgspec.structs.replace(beat, active=active)}
    desk.scout.sighting = Sighting(generation="one", workers=workers, queued=frozenset())
    desk.opened(priority=Priority.HIGH, steps=parallel_plan(max_parallel=2))
    desk.turn()
    assert sum(desk.log.execution(run.id).yields_to is not None for run in busy) == 2
