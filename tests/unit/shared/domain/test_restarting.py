"""Runs that have failed or were cancelled, and go on: what is kept, what is tried again, and what counts anew."""

from __future__ import annotations

from datetime import timedelta

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
    PLAN,
    WORKER,
    at_join,
    claimed,
    complete_all,
    complete_member,
    complete_next,
    fail_member,
    fail_next,
    failure,
    in_phase,
    open_stage,
    outcome,
    restarted,
    running,
    stamp,
    submitted,
    waiting_for_retry,
    with_order,
)

COLLECTING = (PLAN[0], msgspec.structs.replace(PLAN[1], on_error=OnError.COLLECT), PLAN[2])


def states(run: WorkflowExecution) -> dict[tuple[str, str | None], StepState]:
    """What is seen of each position."""
    return {(view.step, view.symbol): view.state for view in step_views(run)}


def left(run: WorkflowExecution) -> list[tuple[str, str | None]]:
    """What is left to do."""
    return [key for key in run.positions() if not run.is_settled(key)]


def test_a_failed_run_goes_on_from_the_step_that_failed() -> None:
    """What was completed stays as it is, and the next attempt is the next one: no number comes twice."""
    run = running()
    complete_next(run, stamp(2), "loaded")
    complete_next(run, stamp(3))
    fail_next(run, stamp(4))
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
    fail_next(run, stamp(4))
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
    fail_next(run, stamp(2))
    restarted(run, stamp(20))
    run.request_cancel(stamp(30))
    run.end_cancelled(stamp(31), attempt=2)
    restarted(run, stamp(40))
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


def test_retries_losses_and_time_count_anew_when_a_run_goes_on() -> None:
    """It would otherwise end at once of what ended it before."""
    run = waiting_for_retry(timeout_seconds=60.0)
    run.fall_due(stamp(3))
    run.claim(stamp(4), attempt=2, worker=WORKER)
    for attempt in (2, 3):
        run.lose_worker(stamp(20), attempt=attempt, worker=WORKER, reason="no heartbeat", max_losses=3)
        run.claim(stamp(20), attempt=attempt + 1, worker=WORKER)
    fail_next(run, stamp(40))
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


def test_no_time_runs_between_an_end_and_the_next_attempt() -> None:
    """The last attempt ended with its run; one that waits again and is cancelled has used up nothing."""
    run = running(timeout_seconds=60.0)
    fail_next(run, stamp(11))
    assert run.time_left(stamp(100).at) == timedelta(seconds=50)
    run.retry_now(stamp(200))
    run.request_cancel(stamp(300))
    *events, _ = run.collect_events()
    cancelling = fold(None, events)
    assert cancelling is not None
    assert cancelling.phase is Phase.CANCELLING
    assert cancelling.time_left(stamp(300).at) == timedelta(seconds=60)


def test_preemptions_and_attempts_go_on_counting() -> None:
    """They tell what has happened to the task, and decide nothing."""
    run = running()
    run.request_preemption(stamp(2), attempt=1, preempted_by="t-2")
    run.make_way(stamp(3), attempt=1)
    run.claim(stamp(4), attempt=2, worker=WORKER)
    fail_next(run, stamp(5))
    restarted(run, stamp(20))
    assert (run.preemptions, run.preempted_by, run.attempts, run.yields_to) == (1, "t-2", 3, None)


def test_orders_of_before_are_known_to_a_run_that_goes_on() -> None:
    """None is requested twice, and those that changed after the first end are in the second one's result."""
    run = with_order(running(), "o-1", stamp(2))
    fail_next(run, stamp(3))
    run.resolve_order(stamp(4), client_order_id="o-1", outcome=outcome())
    assert run.has_late_orders
    restarted(run, stamp(20))
    with pytest.raises(Refused, match="requested before"):
        with_order(run, "o-1", stamp(22))
    complete_all(run, stamp(23))
    assert task_view(run).late_orders is None
    run.follow_order(stamp(24), client_order_id="o-1", outcome=outcome(state="filled", filled_quantity="10"))
    late = task_view(run).late_orders
    assert late is not None
    assert [each["state"] for each in late] == ["filled"]


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
    restarted(run, stamp(20))
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
    restarted(run, stamp(20))
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
    restarted(run, stamp(20))
    assert left(run) == [("analyse", "AAPL"), ("rank", "AAPL"), ("rank", "MSFT"), ("decide", None)]
    assert run.left_out == set()


def test_a_step_that_runs_once_a_run_leaves_the_failures_that_were_collected_before_it() -> None:
    """It failed of itself; what the run went on without, it still goes on without."""
    run = collected("AAPL")
    complete_next(run, stamp(4))
    fail_next(run, stamp(5))
    restarted(run, stamp(20))
    assert left(run) == [("decide", None)]
    assert states(run)["analyse", "AAPL"] is StepState.FAILED


def test_a_symbol_that_failed_a_step_leaves_the_failures_that_were_collected_before_it() -> None:
    """The step had symbols to go on with: those that had failed before are not to blame."""
    run = at_join()
    fail_member(run, "AAPL", stamp(4))
    complete_member(run, "MSFT", stamp(4))
    run.settle_stage(stamp(5))
    run.claim(stamp(6), attempt=2, worker=WORKER)
    fail_next(run, stamp(7))
    assert run.failure is not None
    assert (run.failure.step, run.failure.symbol) == ("rank", "MSFT")
    restarted(run, stamp(20))
    assert left(run) == [("rank", "MSFT"), ("decide", None)]


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
    restarted(run, stamp(20))
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
    restarted(run, stamp(20))
    assert left(run) == [("analyse", "IBM"), ("rank", "MSFT"), ("rank", "IBM"), ("decide", None)]
    assert run.left_out == {("rank", "AAPL")}
    assert states(run)["rank", "AAPL"] is StepState.SKIPPED
