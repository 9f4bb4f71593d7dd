"""Runs that are asked to make way, and runs that do not stop when their time is over."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.domain.catalogue import StepEffect
from shared.domain.errors import AlreadyFinished, Refused, StaleAttempt
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Preempted, PreemptionRequested
from shared.domain.phases import Phase
from tests.builders import PLAN, WORKER, complete_all, complete_next, in_phase, running, stamp

OTHER = "5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10"
TRADING_PLAN = (PLAN[0], msgspec.structs.replace(PLAN[1], effect=StepEffect.ORDERS, preemptible=False), PLAN[2])
PATIENT_PLAN = (PLAN[0], msgspec.structs.replace(PLAN[1], timeout_seconds=10.0), PLAN[2])


def ask(run: WorkflowExecution, second: float = 2) -> None:
    """Ask the running attempt to make way."""
    run.request_preemption(stamp(second), attempt=run.attempts, preempted_by=OTHER)


def lose(run: WorkflowExecution, second: float, *, max_losses: int = 3) -> None:
    """Declare the worker of the running attempt lost."""
    run.lose_worker(
        stamp(second), attempt=run.attempts, worker=WORKER, reason="its process died", max_losses=max_losses
    )


def test_a_run_makes_way_for_the_one_that_asked_and_may_go_on() -> None:
    """Time at work counts, waiting does not; the next attempt has been asked for nothing."""
    run = running(timeout_seconds=60.0)
    ask(run)
    run.make_way(stamp(11), attempt=1)
    assert [type(event) for event in run.collect_events()[-2:]] == [PreemptionRequested, Preempted]
    assert (run.phase, run.preempted_by, run.preemptions, run.preempted_at) == (
        *(Phase.PREEMPTED, OTHER, 1),
        stamp(11).at,
    )
    assert run.time_left(stamp(1000).at) == timedelta(seconds=50)
    run.claim(stamp(1000), attempt=2, worker=WORKER)
    assert run.yields_to is None
    complete_all(run, stamp(1001))
    assert (run.phase, run.preempted_by) == (Phase.SUCCEEDED, OTHER)


def test_asking_twice_changes_nothing() -> None:
    """The first to ask is the one that is made way for."""
    run = running()
    ask(run)
    run.collect_events()
    run.request_preemption(stamp(3), attempt=1, preempted_by="somebody else")
    assert (run.collect_events(), run.yields_to) == ([], OTHER)


def test_nobody_makes_way_unasked() -> None:
    """An interrupt without a reason in the log is none."""
    with pytest.raises(Refused, match="Nobody asked"):
        running().make_way(stamp(2), attempt=1)


def test_a_run_is_not_asked_in_a_step_that_trades_but_before_and_after_it() -> None:
    """Which step runs is told by the log: the first that is not settled."""
    run = running(steps=TRADING_PLAN)
    complete_next(run, stamp(2))
    for _ in run.submitted.symbols:
        with pytest.raises(Refused, match="must not be preempted"):
            ask(run)
        complete_next(run, stamp(3))
    ask(run)
    assert run.yields_to == OTHER
    before = running(steps=TRADING_PLAN)
    ask(before)
    assert before.yields_to == OTHER


def test_a_run_that_has_nothing_left_to_do_is_not_asked() -> None:
    """It is about to give its slot back anyway."""
    run = running()
    while run.next_position() is not None:
        complete_next(run, stamp(2))
    with pytest.raises(Refused):
        ask(run)


@pytest.mark.parametrize("phase", Phase)
def test_only_a_running_run_is_asked(phase: Phase) -> None:
    """One that is being cancelled gives its slot back for that; the others have none."""
    run = in_phase(phase)
    if phase is Phase.RUNNING:
        ask(run)
        return
    with pytest.raises((Refused, StaleAttempt, AlreadyFinished)):
        ask(run)
    assert run.yields_to is None or phase is Phase.PREEMPTED


def test_a_cancellation_goes_before_a_preemption() -> None:
    """A run that was asked for both can only be cancelled."""
    run = running()
    ask(run)
    run.request_cancel(stamp(3))
    with pytest.raises(Refused):
        run.make_way(stamp(4), attempt=1)
    run.end_cancelled(stamp(4), attempt=1)
    assert run.phase is Phase.CANCELLED


def test_a_run_that_loses_its_worker_past_its_time_has_timed_out() -> None:
    """Its process was ended because its step did not stop; trying again would take as long."""
    run = running(timeout_seconds=60.0)
    complete_next(run, stamp(30))
    lose(run, 61)
    assert run.failure is not None
    assert (run.failure.failure.type, run.failure.failure.timed_out) == ("timeout", True)
    assert (run.failure.step, run.failure.symbol) == ("analyse", "AAPL")
    in_time = running(timeout_seconds=60.0)
    lose(in_time, 60.9)
    assert in_time.phase is Phase.LOST


def test_a_cancelled_run_that_loses_its_worker_past_its_time_is_cancelled() -> None:
    """Only that may end it."""
    run = running(timeout_seconds=60.0)
    run.request_cancel(stamp(2))
    lose(run, 100)
    assert run.phase is Phase.CANCELLED


@pytest.mark.parametrize(("lost_after", "kind"), [(15.0, ("StepTimeout", True)), (9.0, ("worker_lost", False))])
def test_a_step_that_takes_its_process_with_it_when_its_time_is_over_has_timed_out(
    lost_after: float, kind: tuple[str, bool]
) -> None:
    """Of a worker that dies sooner nobody knows why. Time counts from the last boundary, in each attempt anew."""
    run = running(steps=PATIENT_PLAN)
    complete_next(run, stamp(20))
    lose(run, 20 + lost_after)
    run.claim(stamp(100), attempt=2, worker=WORKER)
    lose(run, 100 + lost_after, max_losses=2)
    assert run.failure is not None
    assert (run.failure.failure.type, run.failure.failure.timed_out) == kind
    assert (run.failure.step, run.failure.symbol) == ("analyse", "AAPL")
