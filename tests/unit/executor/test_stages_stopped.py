"""Stages among the live runs that are stopped, fail, run out of time or live on; and what their time is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.live_run import LiveRun, RunState
from shared.domain.branch import Branch
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from tests.builders import NOW, failure, stamp
from tests.unit.executor.live_runs import SYMBOLS, WORKER, StageDesk, open_look


def stop(run: WorkflowExecution, how: str, second: float = 4) -> None:
    """Have a run at a join cancelled, or failed."""
    if how == "cancel":
        run.request_cancel(stamp(second))
    else:
        run.fail_in_stage(stamp(second), failure=failure())


def close(desk: StageDesk, run: WorkflowExecution, branch: Branch, second: float = 5) -> None:
    """Have a member at work stop."""
    branch.close(stamp(second), attempt=branch.attempts, reason="its task is over")
    desk.feed(run)


def members(desk: StageDesk) -> list[LiveRun]:
    """The live branches."""
    return [run for run in desk.runs.all() if run.is_branch]


@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_a_run_that_is_stopped_takes_its_waiting_members_with_it(how: str) -> None:
    """Pointers in Redis are taken back, once; those that were parked or waited for a retry are simply gone."""
    desk = StageDesk()
    run = desk.opened(max_parallel=3)
    desk.released()
    desk.claim(run, "AAPL")
    desk.put_off(run, "AAPL", due_in=1)
    desk.claim(run, "GOOG")
    stop(run, how)
    desk.feed(run)
    assert [(each.symbol, each.attempt) for each in desk.runs.withdrawn()] == [("IBM", 1)]
    assert desk.runs.withdrawn() == []
    assert [each.symbol for each in members(desk)] == ["GOOG"]
    assert (desk.released(), desk.runs.due(stamp(99).at)) == ([], [])
    assert sum(desk.runs.depths().values()) == 0


@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_a_run_that_is_stopped_asks_its_members_at_work_to_stop(how: str) -> None:
    """Since then, for nobody's sake; they keep their worker and their start until they have closed."""
    desk = StageDesk()
    run = desk.opened()
    desk.released()
    branch = desk.claim(run, "AAPL", 3)
    branch.request_preemption(stamp(3.5), attempt=1, preempted_by="x")
    desk.feed(run)
    stop(run, how)
    desk.feed(run)
    (row,) = members(desk)
    assert (row.state, row.asked_at, row.yields_to) == (RunState.CANCELLING, stamp(4).at, None)
    assert (row.worker, row.started_at) == (WORKER, stamp(3).at)
    assert list(desk.runs.at_work()) == [row]
    close(desk, run, branch)
    assert members(desk) == []


def test_a_cancelled_run_ends_after_its_last_member() -> None:
    """Until then it joins those that are left, and is the last one's to cancel."""
    desk = StageDesk()
    run = desk.opened()
    branch = desk.claim(run, "AAPL")
    run.request_cancel(stamp(4))
    desk.feed(run)
    assert not desk.runs.is_joined(desk.row(run.id))
    close(desk, run, branch)
    assert desk.runs.is_joined(desk.row(run.id))
    assert list(desk.runs.joining()) == [desk.row(run.id)]
    run.settle_stage(stamp(6))
    desk.feed(run)
    assert (list(desk.runs.all()), list(desk.runs.joining())) == ([], [])


def test_a_run_that_nobody_works_on_ends_with_its_members_at_once() -> None:
    """All rows go in one batch."""
    desk = StageDesk()
    run = desk.opened(max_parallel=2)
    desk.released()
    streams = {run.id, *run.branches}
    run.request_cancel(stamp(4))
    assert run.phase is Phase.CANCELLED
    desk.feed(run)
    changed, ended = desk.runs.changes()
    assert (changed, set(ended), list(desk.runs.all())) == ([], streams, [])


def test_what_is_finished_while_the_run_is_cancelled_leaves_nothing_behind() -> None:
    """It counts in the log, and here it is just over."""
    desk = StageDesk()
    run = desk.opened("AAPL")
    desk.claim(run, "AAPL")
    run.request_cancel(stamp(4))
    desk.feed(run)
    desk.complete(run, "AAPL", 5)
    assert members(desk) == []


def test_members_that_are_stopped_keep_their_places_until_they_have_closed() -> None:
    """Their workers are still at it, whatever has become of their run."""
    desk = StageDesk()
    run = desk.opened("AAPL", limits={"venue": 1})
    desk.released()
    branch = desk.claim(run, "AAPL")
    stop(run, "fail")
    desk.feed(run)
    other = desk.opened("IBM", limits={"venue": 1})
    assert desk.released() == []
    close(desk, run, branch)
    assert [each.task_id for each in desk.released()] == [other.id]


def test_a_run_that_goes_on_after_its_end_waits_for_its_next_attempt() -> None:
    """With nothing left of what it was."""
    desk = StageDesk()
    run = desk.opened(limits={"venue": 1})
    branch = desk.claim(run, "AAPL", 3)
    stop(run, "fail")
    close(desk, run, branch)
    assert list(desk.runs.all()) == []
    run.retry_now(stamp(9))
    run.collect_events()
    desk.runs.restart(99, stamp(9).at, run)
    (again,) = desk.released()
    assert (again.id, again.attempt, again.spent_seconds, again.waiting_since) == (run.id, 2, 0.0, stamp(9).at)
    assert (again.level, again.resumed, again.limits) == (run.submitted.priority, False, run.submitted.limits)
    assert set(desk.runs.changes()[1]) == set(run.branches)


def restarted(desk: StageDesk, run: WorkflowExecution, second: float) -> None:
    """Have a failed run live on, be claimed, and open its stage anew."""
    run.retry_now(stamp(second))
    run.collect_events()
    desk.runs.restart(desk.position, stamp(second).at, run)
    desk.released()
    run.claim(stamp(second), attempt=2, worker=WORKER)
    open_look(run, second)
    desk.feed(run)


def test_a_straggler_of_an_earlier_stage_holds_nobody_up() -> None:
    """The new members are others; it is joined when both are gone, and the log says sooner when it may go on."""
    desk = StageDesk()
    run = desk.opened("AAPL", max_parallel=2)
    desk.released()
    straggler = desk.claim(run, "AAPL")
    stop(run, "fail")
    desk.feed(run)
    restarted(desk, run, 9)
    assert [(each.symbol, each.opening) for each in desk.released()] == [("AAPL", 2)]
    assert desk.row(straggler.id).state is RunState.CANCELLING
    desk.complete(run, "AAPL", 12)
    run.settle_stage(stamp(13))
    desk.feed(run)
    assert [(each.id, each.attempt) for each in desk.released()] == [(run.id, 3)]
    close(desk, run, straggler, 14)
    assert members(desk) == []


def test_time_passes_for_a_joining_run_while_a_member_is_at_work() -> None:
    """Overlapping ones count once, and waiting costs nothing."""
    desk = StageDesk()
    run = desk.opened()
    first, second = (run.members["look", symbol] for symbol in ("AAPL", "IBM"))
    assert (desk.row(run.id).started_at, desk.row(run.id).spent_seconds) == (None, 1.0)
    desk.claim(run, "AAPL", 10)
    desk.claim(run, "IBM", 12)
    assert desk.row(run.id).started_at == stamp(10).at
    desk.complete(run, "AAPL", 14)
    assert desk.row(run.id).started_at == stamp(10).at
    desk.complete(run, "IBM", 15)
    assert (desk.row(run.id).started_at, desk.row(run.id).spent_seconds) == (None, 1.0 + 5.0)
    assert run.time_left(stamp(50).at) == timedelta(seconds=60 - 6) == desk.row(run.id).time_left
    assert (first.phase, second.phase) == (Phase.SUCCEEDED, Phase.SUCCEEDED)


def test_time_stands_still_while_every_member_waits() -> None:
    """For a retry, for its turn after it made way, or for a worker in place of one that was lost."""
    desk = StageDesk()
    run = desk.opened()
    desk.claim(run, "AAPL", 10)
    desk.put_off(run, "AAPL", 11)
    desk.claim(run, "IBM", 20)
    desk.make_way(run, "IBM", 22)
    lost = desk.claim(run, "GOOG", 30)
    desk.runs.changes()
    lost.lose_worker(stamp(33), attempt=1, worker=WORKER, reason="r", max_losses=3)
    desk.feed(run)
    row = desk.row(run.id)
    assert (row.started_at, row.spent_seconds) == (None, 1.0 + 1 + 2 + 3)
    assert desk.member(run, "IBM").spent_seconds == 2.0
    assert row.id in {each.id for each in desk.runs.changes()[0]}, "what has changed is written"


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.booleans(), st.integers(0, 3)), max_size=40))
def test_the_time_of_a_joining_run_is_what_the_log_says(moves: list[tuple[str, bool, int]]) -> None:
    """Whoever is at work when: the dispatcher ends a run out of time neither too soon nor too late."""
    desk = StageDesk()
    run = desk.opened(timeout_seconds=1000.0)
    second = 3.0
    for symbol, ends, passes in moves:
        second += passes
        branch = run.members["look", symbol]
        if not branch.at_work and not branch.phase.ended and branch.next_retry_at is None:
            desk.claim(run, symbol, second)
        elif branch.at_work and ends:
            desk.complete(run, symbol, second)
        elif branch.at_work:
            desk.make_way(run, symbol, second)
        row = desk.row(run.id)
        since = stamp(second).at - row.started_at if row.started_at is not None else timedelta()
        assert row.time_left - since == run.time_left(stamp(second).at)


def test_a_straggler_costs_the_run_that_lives_on_no_time() -> None:
    """What it still does is no work of the new stage; otherwise a run would end before its time is over."""
    desk = StageDesk()
    run = desk.opened("AAPL")
    straggler = desk.claim(run, "AAPL", 3)
    stop(run, "fail")
    desk.feed(run)
    restarted(desk, run, 9)
    desk.complete(run, "AAPL", 12)
    close(desk, run, straggler, 30)
    assert (desk.row(run.id).spent_seconds, desk.row(run.id).started_at) == (1.0, None)
    assert desk.row(run.id).time_left == run.time_left(stamp(31).at)


def test_members_have_what_is_left_when_the_stage_opens() -> None:
    """By it the hard limit of their messages is set."""
    desk = StageDesk()
    run = desk.opened("AAPL")
    desk.complete(run, "AAPL", 13)
    run.settle_stage(stamp(14))
    desk.feed(run)
    assert desk.row(run.id).time_left == timedelta(seconds=60 - 1 - 1)
    assert desk.row(run.id).waiting_since == NOW + timedelta(seconds=14)
