"""Runs that go on after they have ended in a stage: those that are left are opened anew, and stragglers only close."""

from __future__ import annotations

import pytest

from shared.domain.catalogue import OnError
from shared.domain.errors import AlreadyFinished
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_records import StepState
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.views import step_views, task_view
from tests.builders import (
    PARALLEL_PLAN,
    WORKER,
    at_join,
    claimed,
    complete_all,
    complete_member,
    fail_member,
    fail_next,
    in_phase,
    joined,
    open_stage,
    parallel_plan,
    restarted,
    retry_member,
    stamp,
)

STRICT = parallel_plan(on_error=OnError.FAIL)


def states(run: WorkflowExecution) -> dict[tuple[str, str | None], StepState]:
    """What is seen of each position."""
    return {(view.step, view.symbol): view.state for view in step_views(run)}


def left(run: WorkflowExecution) -> list[tuple[str, str | None]]:
    """What is left to do."""
    return [key for key in run.positions() if not run.is_settled(key)]


def failed_in_stage() -> WorkflowExecution:
    """A run of whose stage one member is completed, one has failed the run, one is still at work, one waits."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM", "KO"), steps=STRICT)
    complete_member(run, "AAPL", stamp(4), "first")
    claimed(run, "IBM", stamp(4))
    retry_member(run, "KO", stamp(4))
    fail_member(run, "MSFT", stamp(5))
    return run


def test_a_stage_is_opened_anew_for_those_that_are_left_in_streams_of_their_own() -> None:
    """What was completed is no member of it, and attempts and retries count from the beginning."""
    run = failed_in_stage()
    before = {branch.id for branch in run.stage()}
    restarted(run, stamp(20))
    assert run.members == {}
    open_stage(run, stamp(22))
    assert [branch.key for branch in run.stage()] == [("analyse", "MSFT"), ("analyse", "IBM"), ("analyse", "KO")]
    assert before.isdisjoint(branch.id for branch in run.stage())
    assert {(branch.opening, branch.attempts, branch.version) for branch in run.stage()} == {(2, 0, 0)}
    retry_member(run, "KO", stamp(23))
    assert (run.retries("analyse", "KO"), run.members["analyse", "KO"].attempts) == (1, 1)
    for symbol in ("MSFT", "IBM"):
        complete_member(run, symbol, stamp(24))
    run.retry_now(stamp(25))
    complete_member(run, "KO", stamp(25))
    run.settle_stage(stamp(25))
    run.claim(stamp(26), attempt=3, worker=WORKER)
    complete_all(run, stamp(27))
    assert run.phase is Phase.SUCCEEDED
    assert run.steps["analyse", "AAPL"].output == Output(inline="first")


def test_a_straggler_of_an_earlier_opening_takes_no_part_in_the_next_one() -> None:
    """It neither holds the stage up nor is it shown, and what it brings is not the new member's."""
    run = failed_in_stage()
    straggler = run.members["analyse", "IBM"]
    run.retry_now(stamp(20))
    assert states(run)["analyse", "IBM"] is StepState.PENDING
    run.claim(stamp(21), attempt=2, worker=WORKER)
    open_stage(run, stamp(22))
    with pytest.raises(AlreadyFinished):
        straggler.complete(stamp(23), attempt=1, output=Output(), started_at=stamp(4).at)
    assert states(run)["analyse", "IBM"] is StepState.PENDING
    for symbol in ("MSFT", "IBM", "KO"):
        complete_member(run, symbol, stamp(24), "second")
    run.settle_stage(stamp(25))
    assert straggler.at_work
    straggler.close(stamp(26), attempt=1, reason="its task has failed")
    assert run.steps["analyse", "IBM"].output == Output(inline="second")
    assert run.phase is Phase.JOINED


def test_a_straggler_does_not_hold_up_the_cancellation_of_a_run_that_goes_on() -> None:
    """Nobody waits for it, whether its stage has been opened anew or not."""
    for opened in (False, True):
        run = failed_in_stage()
        run.retry_now(stamp(20))
        if opened:
            run.claim(stamp(21), attempt=2, worker=WORKER)
            open_stage(run, stamp(22))
        run.request_cancel(stamp(23))
        assert run.phase is Phase.CANCELLED


def test_a_run_whose_stage_was_cancelled_goes_on_with_what_its_members_had_not_finished() -> None:
    """One finished while the run was being cancelled: that counts."""
    run = at_join()
    claimed(run, "MSFT", stamp(4))
    run.request_cancel(stamp(5))
    complete_member(run, "MSFT", stamp(6))
    run.settle_stage(stamp(6))
    restarted(run, stamp(20))
    assert left(run)[0] == ("analyse", "AAPL")
    open_stage(run, stamp(22))
    assert [branch.key for branch in run.stage()] == [("analyse", "AAPL")]


def test_a_run_that_fails_after_its_stage_goes_on_after_it() -> None:
    """The stage is not opened again."""
    run = joined()
    run.claim(stamp(6), attempt=2, worker=WORKER)
    fail_next(run, stamp(7))
    restarted(run, stamp(20))
    assert (run.opening, run.next_position()) == (1, ("rank", "AAPL"))
    complete_all(run, stamp(30))
    assert run.phase is Phase.SUCCEEDED


def test_members_that_are_shown_after_a_restart_are_those_of_the_run_as_it_goes_on() -> None:
    """What had not been done is pending again, without the old errors, and progress starts from what is done."""
    run = failed_in_stage()
    run.retry_now(stamp(20))
    rows = [view for view in step_views(run) if view.step == "analyse"]
    assert [(row.state, row.error, row.attempts) for row in rows] == [
        (StepState.COMPLETED, None, 1),
        *[(StepState.PENDING, None, 0)] * 3,
    ]
    assert task_view(run).progress.completed_symbols == ("AAPL",)


def test_a_restart_is_folded_from_the_log_as_it_was_decided() -> None:
    """With a straggler that closes in between."""
    run = failed_in_stage()
    straggler = run.members["analyse", "IBM"]
    restarted(run, stamp(20))
    straggler.close(stamp(21), attempt=1, reason="its task has failed")
    open_stage(run, stamp(22))
    complete_member(run, "MSFT", stamp(23))
    events = run.collect_events()
    folded = fold(None, events)
    assert folded is not None
    assert (task_view(folded), list(step_views(folded))) == (task_view(run), list(step_views(run)))
    assert folded.time_left(stamp(30).at) == run.time_left(stamp(30).at)
    assert len(events) == task_view(run).version


def test_a_restart_is_no_way_around_the_plan() -> None:
    """It is pinned to the run: the same steps and symbols, in the same order."""
    run = in_phase(Phase.FAILED, steps=PARALLEL_PLAN)
    plan = list(run.positions())
    run.retry_now(stamp(20))
    assert (list(run.positions()), run.submitted.steps) == (plan, PARALLEL_PLAN)
