"""Runs that have failed or were cancelled, and go on: what is kept, what is tried again, and what counts anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.catalogue import OnError
from shared.domain.errors import AlreadyFinished, NotRetrying, Refused
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Restarted, RetryDue
from shared.domain.execution_records import StepState
from shared.domain.outputs import Output
from shared.domain.phases import CeleryState, Phase
from shared.domain.views import step_views, task_view
from tests.builders import (
    PARALLEL_PLAN,
    PLAN,
    WORKER,
    at_join,
    claimed,
    complete_all,
    complete_member,
    complete_next,
    fail_member,
    failure,
    in_phase,
    joined,
    open_stage,
    outcome,
    parallel_plan,
    retry_member,
    running,
    stamp,
    submitted,
    waiting_for_retry,
    with_order,
)

STRICT = parallel_plan(on_error=OnError.FAIL)
COLLECTING = (PLAN[0], msgspec.structs.replace(PLAN[1], on_error=OnError.COLLECT), PLAN[2])


def restarted(run: WorkflowExecution, second: float = 20) -> WorkflowExecution:
    """Have a run that has ended go on, and its next attempt start."""
    run.retry_now(stamp(second))
    run.claim(stamp(second + 1), attempt=run.attempts + 1, worker=WORKER)
    return run


def states(run: WorkflowExecution) -> dict[tuple[str, str | None], StepState]:
    """What is seen of each position."""
    return {(view.step, view.symbol): view.state for view in step_views(run)}


def left(run: WorkflowExecution) -> list[tuple[str, str | None]]:
    """What is left to do."""
    return [key for key in run.positions() if not run.is_settled(key)]


def fail_next(run: WorkflowExecution, second: float, **changes: Any) -> None:
    """Fail the run in the step that comes next."""
    key = run.next_position()
    assert key is not None
    run.fail(
        stamp(second),
        attempt=run.attempts,
        failure=failure(retryable=False, **changes),
        step=key[0],
        symbol=key[1],
        started_at=stamp(second).at,
    )


def test_a_failed_run_goes_on_from_the_step_that_failed() -> None:
    """What was completed stays as it is, and the next attempt is the next one: no number comes twice."""
    run = running()
    complete_next(run, stamp(2), "loaded")
    complete_next(run, stamp(3))
    fail_next(run, 4)
    run.collect_events()
    run.retry_now(stamp(20))
    assert [type(event) for event in run.collect_events()] == [Restarted]
    assert (run.phase, run.attempts, run.next_position()) == (Phase.WAITING, 1, ("analyse", "MSFT"))
    run.claim(stamp(21), attempt=2, worker=WORKER)
    with pytest.raises(Refused, match="never runs again"):
        run.complete_step(
            stamp(22), attempt=2, step="load", symbol=None, output=Output(inline="again"), started_at=stamp(21).at
        )
    assert run.steps["load", None].output == Output(inline="loaded")
    complete_all(run, stamp(23))
    assert (run.phase, run.finished_at, run.started_at) == (Phase.SUCCEEDED, stamp(23).at, stamp(1).at)


def test_a_run_that_goes_on_looks_as_if_it_had_not_ended() -> None:
    """It waits, without an error, an end or a partial result, and the step that failed is pending."""
    run = running()
    complete_next(run, stamp(2))
    fail_next(run, 4)
    run.retry_now(stamp(20))
    view = task_view(run)
    assert (view.state, view.error, view.finished_at, view.partial_result, view.duration_seconds) == (
        *(CeleryState.PENDING, None, None, None),
        None,
    )
    assert states(run) == {
        ("load", None): StepState.COMPLETED,
        ("analyse", "AAPL"): StepState.PENDING,
        ("analyse", "MSFT"): StepState.PENDING,
        ("decide", None): StepState.PENDING,
    }


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_cancelled_run_goes_on_from_where_it_was(attempts: int) -> None:
    """Also one that had never begun. The reason for which it was cancelled is forgotten."""
    run = running() if attempts else submitted()
    if attempts:
        complete_next(run, stamp(2))
    run.request_cancel(stamp(3), reason="not today")
    if attempts:
        run.end_cancelled(stamp(4), attempt=1)
    run.retry_now(stamp(20))
    assert (run.phase, run.cancel_reason, run.finished_at) == (Phase.WAITING, None, None)
    run.claim(stamp(21), attempt=attempts + 1, worker=WORKER)
    assert run.next_position() == (("analyse", "AAPL") if attempts else ("load", None))


def test_a_run_may_end_and_go_on_more_than_once() -> None:
    """Failed, cancelled, and done in the end."""
    run = running()
    fail_next(run, 2)
    restarted(run)
    run.request_cancel(stamp(30))
    run.end_cancelled(stamp(31), attempt=2)
    restarted(run, 40)
    complete_all(run, stamp(50))
    assert (run.phase, run.attempts, run.result is not None) == (Phase.SUCCEEDED, 3, True)


def test_a_run_that_has_succeeded_does_not_go_on() -> None:
    """There is nothing left to try again."""
    run = running()
    complete_all(run)
    with pytest.raises(AlreadyFinished, match="rerun"):
        run.retry_now(stamp(20))


@pytest.mark.parametrize(
    "phase",
    [
        *(Phase.WAITING, Phase.RUNNING, Phase.AT_JOIN, Phase.JOINED),
        *(Phase.LOST, Phase.PREEMPTED, Phase.CANCELLING),
    ],
)
def test_a_run_that_neither_has_ended_nor_waits_for_a_retry_has_nothing_to_bring_forward(phase: Phase) -> None:
    """It goes on by itself."""
    run = in_phase(phase)
    run.collect_events()
    with pytest.raises(NotRetrying):
        run.retry_now(stamp(20))
    assert run.collect_events() == []


def test_a_run_that_waits_for_its_retry_goes_on_at_once_and_keeps_its_counts() -> None:
    """That is no restart; asking again changes nothing."""
    run = waiting_for_retry()
    run.collect_events()
    run.retry_now(stamp(2.5))
    run.retry_now(stamp(2.6))
    assert [type(event) for event in run.collect_events()] == [RetryDue]
    assert run.retries("load", None) == 1


# What counts anew


def test_retries_losses_and_time_count_anew_when_a_run_goes_on() -> None:
    """It would otherwise end at once of what ended it before."""
    run = waiting_for_retry(timeout_seconds=60.0)
    run.fall_due(stamp(3))
    run.claim(stamp(4), attempt=2, worker=WORKER)
    for attempt in (2, 3):
        run.lose_worker(stamp(20), attempt=attempt, worker=WORKER, reason="no heartbeat", max_losses=3)
        run.claim(stamp(20), attempt=attempt + 1, worker=WORKER)
    fail_next(run, 40)
    run.retry_now(stamp(100))
    assert (run.retries("load", None), run.losses, run.time_left(stamp(500).at)) == (0, 0, timedelta(seconds=60))
    run.claim(stamp(500), attempt=5, worker=WORKER)
    assert run.time_left(stamp(510).at) == timedelta(seconds=50)
    run.schedule_retry(
        stamp(510),
        attempt=5,
        step="load",
        symbol=None,
        failure=failure(),
        started_at=stamp(500).at,
        due_at=stamp(511).at,
    )
    assert (run.retries("load", None), run.steps["load", None].attempts) == (1, 1)


def test_a_run_out_of_time_goes_on_with_all_of_it() -> None:
    """Also one that ran out of it at a join; what stragglers of the old stage still take is not its own."""
    run = at_join(timeout_seconds=12.0)
    straggler = claimed(run, "AAPL", stamp(10))
    run.time_out_in_stage(stamp(20))
    run.retry_now(stamp(30))
    assert run.time_left(stamp(40).at) == timedelta(seconds=12)
    straggler.close(stamp(41), attempt=1, reason="its task has failed")
    run.claim(stamp(50), attempt=2, worker=WORKER)
    open_stage(run, stamp(52))
    claimed(run, "AAPL", stamp(60))
    assert run.time_left(stamp(65).at) == timedelta(seconds=5)


def test_preemptions_and_attempts_go_on_counting() -> None:
    """They tell what has happened to the task, and decide nothing."""
    run = running()
    run.request_preemption(stamp(2), attempt=1, preempted_by="t-2")
    run.make_way(stamp(3), attempt=1)
    run.claim(stamp(4), attempt=2, worker=WORKER)
    fail_next(run, 5)
    restarted(run)
    assert (run.preemptions, run.preempted_by, run.attempts, run.yields_to) == (1, "t-2", 3, None)


def test_orders_of_before_are_known_to_a_run_that_goes_on() -> None:
    """None is requested twice, and those that changed after the first end are in the second one's result."""
    run = with_order(running(), "o-1", stamp(2))
    fail_next(run, 3)
    run.resolve_order(stamp(4), client_order_id="o-1", outcome=outcome())
    assert run.has_late_orders
    restarted(run)
    with pytest.raises(Refused, match="requested before"):
        with_order(run, "o-1", stamp(22))
    complete_all(run, stamp(23))
    assert task_view(run).late_orders is None
    run.follow_order(stamp(24), client_order_id="o-1", outcome=outcome(state="filled", filled_quantity="10"))
    late = task_view(run).late_orders
    assert late is not None
    assert [each["state"] for each in late] == ["filled"]


# Collected failures


def collected(*symbols: str) -> WorkflowExecution:
    """A run at work that has collected the failures of these symbols in its second step."""
    run = running(steps=COLLECTING)
    complete_next(run, stamp(2))
    for symbol in symbols:
        run.collect_failure(
            stamp(3), attempt=1, step="analyse", symbol=symbol, failure=failure(), started_at=stamp(2).at
        )
    return run


def test_collected_failures_of_the_step_that_failed_are_tried_again() -> None:
    """Here it killed its workers at the next symbol."""
    run = collected("AAPL")
    run.lose_worker(stamp(4), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=1)
    assert run.failure is not None
    assert (run.failure.step, run.failure.symbol) == ("analyse", "MSFT")
    restarted(run)
    assert left(run) == [("analyse", "AAPL"), ("analyse", "MSFT"), ("decide", None)]


def all_failed(run: WorkflowExecution, step: str, second: float) -> None:
    """Fail a run because one of its steps has no symbol left."""
    run.fail(
        stamp(second),
        attempt=run.attempts,
        failure=failure(type="all_symbols_failed", retryable=False),
        step=step,
        symbol=None,
        started_at=stamp(second).at,
    )


def test_a_step_of_which_all_symbols_failed_is_tried_again_for_all_of_them() -> None:
    """They were collected, and left it nothing."""
    run = collected("AAPL", "MSFT")
    all_failed(run, "analyse", 4)
    restarted(run)
    assert left(run) == [("analyse", "AAPL"), ("analyse", "MSFT"), ("decide", None)]
    complete_all(run, stamp(30))
    assert StepState.FAILED not in states(run).values()


def test_the_steps_whose_failures_left_a_step_no_symbol_are_tried_again_too() -> None:
    """One symbol failed in the step before it, the other in the step itself; what was completed stays."""
    run = at_join()
    fail_member(run, "AAPL", stamp(4))
    complete_member(run, "MSFT", stamp(4))
    run.settle_stage(stamp(5))
    run.claim(stamp(6), attempt=2, worker=WORKER)
    run.collect_failure(stamp(7), attempt=2, step="rank", symbol="MSFT", failure=failure(), started_at=stamp(6).at)
    all_failed(run, "rank", 8)
    restarted(run)
    assert left(run) == [("analyse", "AAPL"), ("rank", "AAPL"), ("rank", "MSFT"), ("decide", None)]
    assert run.left_out == set()


def test_a_step_that_runs_once_a_run_leaves_the_failures_that_were_collected_before_it() -> None:
    """It failed of itself; what the run went on without, it still goes on without."""
    run = collected("AAPL")
    complete_next(run, stamp(4))
    fail_next(run, 5)
    restarted(run)
    assert left(run) == [("decide", None)]
    assert states(run)["analyse", "AAPL"] is StepState.FAILED


def test_failures_are_not_sought_behind_a_step_that_runs_once_a_run() -> None:
    """Its output has been made without those symbols already, and is not made again."""
    load, analyse, *_ = COLLECTING
    market = msgspec.structs.replace(PLAN[2], name="market")
    rank = msgspec.structs.replace(analyse, name="rank", inputs=("market",))
    run = running(steps=(load, analyse, market, rank))
    complete_next(run, stamp(2))
    run.collect_failure(stamp(3), attempt=1, step="analyse", symbol="AAPL", failure=failure(), started_at=stamp(2).at)
    complete_next(run, stamp(4))
    complete_next(run, stamp(5))
    for symbol in run.submitted.symbols:
        run.collect_failure(stamp(6), attempt=1, step="rank", symbol=symbol, failure=failure(), started_at=stamp(5).at)
    all_failed(run, "rank", 7)
    restarted(run)
    assert left(run) == [("rank", "AAPL"), ("rank", "MSFT")]


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_a_run_that_no_step_ended_keeps_the_failures_that_it_collected(how: str) -> None:
    """And leaves out what they left out."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"), timeout_seconds=5.0)
    fail_member(run, "AAPL", stamp(4))
    complete_member(run, "MSFT", stamp(4))
    if how == "cancelled":
        run.request_cancel(stamp(5))
    else:
        claimed(run, "IBM", stamp(5))
        run.time_out_in_stage(stamp(10))
    restarted(run)
    assert left(run) == [("analyse", "IBM"), ("rank", "MSFT"), ("rank", "IBM"), ("decide", None)]
    assert run.left_out == {("rank", "AAPL")}
    assert states(run)["rank", "AAPL"] is StepState.SKIPPED


# Stages


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
    restarted(run)
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
    restarted(run)
    assert left(run)[0] == ("analyse", "AAPL")
    open_stage(run, stamp(22))
    assert [branch.key for branch in run.stage()] == [("analyse", "AAPL")]


def test_a_run_that_fails_after_its_stage_goes_on_after_it() -> None:
    """The stage is not opened again."""
    run = joined()
    run.claim(stamp(6), attempt=2, worker=WORKER)
    fail_next(run, 7)
    restarted(run)
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
    restarted(run)
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
