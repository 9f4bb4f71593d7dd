"""The workflow execution: what its commands decide, and what they refuse."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.errors import AlreadyFinished, NotClaimable, Refused, StaleAttempt
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Cancelled, CancelRequested, RetryScheduled
from shared.domain.execution_records import StepState
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from tests.builders import (
    TRACEPARENT,
    WORKER,
    complete_all,
    complete_next,
    failure,
    in_phase,
    order,
    outcome,
    running,
    stamp,
    submitted,
    waiting_for_retry,
)


def test_events_bear_the_stamp_of_their_command() -> None:
    """Actor, time, trace and append id stand on each event, and versions count up from 1."""
    at = stamp(1, actor="executor:w")
    run = submitted()
    run.claim(at, attempt=1, worker=WORKER)
    events = run.collect_events()
    assert [event.originator_version for event in events] == [1, 2]
    assert (events[1].at, events[1].actor, events[1].append_id) == (at.at, "executor:w", at.append_id)
    assert events[1].trace == TRACEPARENT
    assert run.collect_events() == []


def test_the_plan_runs_step_by_step_and_symbol_by_symbol() -> None:
    """A step for each symbol has a position a symbol, in the order submitted."""
    run = running()
    assert list(run.positions()) == [("load", None), ("analyse", "AAPL"), ("analyse", "MSFT"), ("decide", None)]
    complete_next(run, stamp(2))
    complete_next(run, stamp(3))
    assert run.next_position() == ("analyse", "MSFT")
    complete_all(run)
    assert run.next_position() is None
    assert run.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("attempt", [0, 2])
def test_only_the_next_attempt_may_be_claimed(attempt: int) -> None:
    """A pointer with another number than the next one is late or forged."""
    with pytest.raises(NotClaimable):
        submitted().claim(stamp(), attempt=attempt, worker=WORKER)


def test_a_second_worker_cannot_claim_what_runs() -> None:
    """A doubled pointer finds the run taken."""
    run = running()
    with pytest.raises(NotClaimable):
        run.claim(stamp(2), attempt=2, worker="other")


def test_an_attempt_that_lost_its_run_may_not_write() -> None:
    """After a retry a second attempt runs; the first one's result is refused."""
    run = waiting_for_retry()
    with pytest.raises(StaleAttempt):
        run.succeed(stamp(3), attempt=1, result=Output())
    run.fall_due(stamp(3))
    run.claim(stamp(4), attempt=2, worker="other")
    with pytest.raises(StaleAttempt):
        complete_step_as(run, attempt=1)
    complete_next(run, stamp(5))


def complete_step_as(run: WorkflowExecution, *, attempt: int) -> None:
    """Complete the first step as some attempt."""
    run.complete_step(stamp(5), attempt=attempt, step="load", symbol=None, output=Output(), started_at=stamp(4).at)


def test_retries_are_counted_for_each_step_and_symbol() -> None:
    """Two retries of one symbol and one of another; the failed step comes first again."""
    run = running()
    complete_next(run, stamp(2))
    for symbol, retry in (("AAPL", 1), ("AAPL", 2)):
        run.schedule_retry(
            stamp(3),
            attempt=run.attempts,
            step="analyse",
            symbol=symbol,
            failure=failure(),
            started_at=stamp(3).at,
            due_at=stamp(4).at,
        )
        event = run.collect_events()[-1]
        assert isinstance(event, RetryScheduled)
        assert event.retry == retry
        assert run.next_retry_at == stamp(4).at
        assert run.next_position() == ("analyse", "AAPL")
        run.fall_due(stamp(4))
        assert run.next_retry_at is None
        run.claim(stamp(5), attempt=run.attempts + 1, worker=WORKER)
    assert (run.retries("analyse", "AAPL"), run.retries("analyse", "MSFT")) == (2, 0)
    complete_next(run, stamp(6))
    record = run.steps["analyse", "AAPL"]
    assert (record.state, record.attempts, record.retries) == (StepState.COMPLETED, 3, 2)


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.RETRY_WAIT, Phase.RETRY_DUE])
def test_a_run_that_no_worker_holds_is_cancelled_at_once(phase: Phase) -> None:
    """The request and the end stand in one append."""
    run = in_phase(phase)
    run.collect_events()
    run.request_cancel(stamp(9), reason="wrong symbols")
    assert [type(event) for event in run.collect_events()] == [CancelRequested, Cancelled]
    assert (run.phase, run.cancel_reason, run.next_retry_at) == (Phase.CANCELLED, "wrong symbols", None)


def test_a_running_one_is_cancelled_by_its_worker() -> None:
    """A request does not end it; what the step has finished is kept, then the worker obeys."""
    run = running()
    run.request_cancel(stamp(2))
    assert run.phase is Phase.CANCELLING
    complete_next(run, stamp(3))
    with pytest.raises(Refused):
        run.succeed(stamp(3), attempt=1, result=Output())
    with pytest.raises(Refused):
        run.fail(stamp(3), attempt=1, failure=failure())
    run.end_cancelled(stamp(4), attempt=1)
    assert (run.phase, run.finished_at) == (Phase.CANCELLED, stamp(4).at)


@pytest.mark.parametrize("phase", [Phase.CANCELLING, Phase.CANCELLED])
def test_cancelling_again_changes_nothing(phase: Phase) -> None:
    """No second event, no error."""
    run = in_phase(phase)
    run.collect_events()
    run.request_cancel(stamp(9))
    assert run.collect_events() == []


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_a_finished_run_cannot_be_cancelled(phase: Phase) -> None:
    """The refusal is of its own kind, because clients are told so."""
    with pytest.raises(AlreadyFinished):
        in_phase(phase).request_cancel(stamp(9))


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_a_worker_that_comes_late_is_told_that_the_run_has_ended(phase: Phase) -> None:
    """Also for the attempt that was the last."""
    with pytest.raises(AlreadyFinished):
        complete_step_as(in_phase(phase), attempt=1)


def test_a_failure_names_its_step_and_ends_the_run() -> None:
    """The step's record shows the failure, how long it ran, and who ran it."""
    run = in_phase(Phase.FAILED)
    record = run.steps["load", None]
    assert (record.state, record.failure, record.worker) == (StepState.FAILED, failure(retryable=False), WORKER)
    assert record.finished_at == run.finished_at == stamp(2).at


def test_a_failure_that_no_step_is_to_blame_for_leaves_the_steps_alone() -> None:
    """A timeout between steps, for example."""
    run = running()
    run.fail(stamp(2), attempt=1, failure=failure(timed_out=True))
    assert run.steps == {}
    assert run.phase is Phase.FAILED


def test_a_collected_failure_settles_one_symbol_and_the_run_goes_on() -> None:
    """The next symbol comes next, and the run may still succeed."""
    run = running()
    complete_next(run, stamp(2))
    run.collect_failure(stamp(3), attempt=1, step="analyse", symbol="AAPL", failure=failure(), started_at=stamp(2).at)
    assert run.next_position() == ("analyse", "MSFT")
    complete_all(run)
    assert run.steps["analyse", "AAPL"].state is StepState.FAILED
    assert run.phase is Phase.SUCCEEDED


def test_the_ledger_follows_an_order_to_its_outcome() -> None:
    """Requested before it is sent; placed, rejected or ambiguous after, and ambiguous may be settled later."""
    run = running()
    for name in ("a", "b", "c"):
        run.request_order(stamp(2), attempt=1, client_order_id=name, step="load", symbol=None, order=order())
    assert {record.state for record in run.orders.values()} == {OrderState.REQUESTED}
    run.settle_order(stamp(3), attempt=1, client_order_id="a", outcome=outcome(state="filled"))
    run.reject_order(stamp(3), attempt=1, client_order_id="b", reason="no money")
    run.doubt_order(stamp(3), attempt=1, client_order_id="c", reason="no answer")
    states = {name: record.state for name, record in run.orders.items()}
    assert states == {
        "a": OrderState.FILLED,
        "b": OrderState.REJECTED,
        "c": OrderState.AMBIGUOUS,
    }
    run.settle_order(stamp(4), attempt=1, client_order_id="c", outcome=outcome())
    assert (run.orders["c"].state, run.orders["c"].reason) == (OrderState.PLACED, None)


def test_an_outcome_of_an_order_that_was_never_requested_is_refused() -> None:
    """Nothing is decided, so that no fold ever meets an outcome without its request."""
    run = running()
    run.collect_events()
    with pytest.raises(Refused, match="request before its outcome"):
        run.settle_order(stamp(2), attempt=1, client_order_id="x", outcome=outcome())
    for command in (run.reject_order, run.doubt_order):
        with pytest.raises(Refused, match="request before its outcome"):
            command(stamp(2), attempt=1, client_order_id="x", reason="r")
    assert run.collect_events() == []


def test_no_order_is_requested_once_the_run_is_being_cancelled() -> None:
    """But the outcome of one that was requested before is still recorded."""
    run = running()
    run.request_order(stamp(2), attempt=1, client_order_id="a", step="load", symbol=None, order=order())
    run.request_cancel(stamp(3))
    with pytest.raises(Refused):
        run.request_order(stamp(4), attempt=1, client_order_id="b", step="load", symbol=None, order=order())
    run.settle_order(stamp(4), attempt=1, client_order_id="a", outcome=outcome())


def test_started_at_is_that_of_the_first_attempt() -> None:
    """Later attempts move only their own start."""
    run = waiting_for_retry()
    run.fall_due(stamp(3))
    run.claim(stamp(4), attempt=2, worker="other")
    assert (run.started_at, run.attempt_started_at, run.worker) == (stamp(1).at, stamp(4).at, "other")
    assert run.changed_at - stamp().at == timedelta(seconds=4)


def test_a_completed_step_is_never_completed_again() -> None:
    """The log keeps the first output, whoever brings a second."""
    run = running()
    complete_next(run, stamp(2), 1)

    with pytest.raises(Refused, match="never runs again"):
        run.complete_step(
            stamp(3), attempt=1, step="load", symbol=None, output=Output(inline=2), started_at=stamp(2).at
        )
    assert run.steps["load", None].output == Output(inline=1)


def test_a_run_cannot_succeed_while_a_step_is_left() -> None:
    """A success means that every step is done."""
    run = running()

    with pytest.raises(Refused, match="'load' is not settled"):
        run.succeed(stamp(2), attempt=1, result=Output())


def test_an_order_is_requested_once() -> None:
    """The same client order id a second time is refused, whatever became of the first."""
    run = running()
    run.request_order(stamp(2), attempt=1, client_order_id="o-1", step="load", symbol=None, order=order())

    with pytest.raises(Refused, match="requested before"):
        run.request_order(stamp(3), attempt=1, client_order_id="o-1", step="load", symbol=None, order=order())
