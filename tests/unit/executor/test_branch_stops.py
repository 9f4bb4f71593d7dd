"""A member that is cut short: with its run, for another run, by time; and what it has finished all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.executor.interruption import Interrupted
from shared.domain.branch import Branch
from shared.domain.phases import Phase
from shared.workflow import Context, TemporaryError, Workflow
from tests.builders import stamp
from tests.unit.executor.bench import Bench, MeddlingLog, looking

SYMBOLS = ("AAPL", "IBM", "MSFT")
OTHER = "5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10"


def ask(branch: Branch) -> None:
    """Ask the attempt at work to make way, as the dispatcher does."""
    branch.request_preemption(stamp(), attempt=branch.attempts, preempted_by=OTHER)


def look_for_ever(ctx: Context, symbol: str) -> int:
    """Go on until a checkpoint ends it."""
    while True:
        ctx.checkpoint()


def test_what_is_finished_counts_while_the_run_is_being_cancelled_and_the_last_one_cancels_it() -> None:
    """Its output is part of what the run leaves behind."""

    def body(ctx: Context, symbol: str) -> str:
        bench.cancel(run.id)
        return symbol.lower()

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    after = bench.log.execution(run.id)
    output = after.steps["look", "AAPL"].output
    assert output is not None
    assert (after.phase, output.inline) == (Phase.CANCELLED, "aapl")
    assert bench.topics(run.id)[-2:] == ["cancel_requested", "cancelled"]
    assert not bench.run_member(run, "IBM")


def test_what_is_finished_counts_also_when_the_run_is_cancelled_between_reading_and_writing() -> None:
    """The append is decided again, on the run as it is then."""
    log = MeddlingLog()
    bench = Bench(looking(lambda ctx, symbol: symbol.lower()), log=log)
    run = bench.opened(*SYMBOLS)
    log.before_append["branch.completed"] = lambda: bench.cancel(run.id)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.SUCCEEDED
    assert bench.log.execution(run.id).phase is Phase.CANCELLED


@pytest.mark.parametrize("topic", ["branch.completed", "branch.retry_scheduled", "branch.failed"])
def test_a_run_that_has_ended_between_reading_and_writing_takes_nothing_more(topic: str) -> None:
    """Nobody has written to the member's own stream; the run's version is what refuses it, and the member closes."""

    def body(ctx: Context, symbol: str) -> str:
        if topic == "branch.retry_scheduled":
            raise TemporaryError("busy")
        if topic == "branch.failed":
            raise ValueError("never")
        return symbol

    log = MeddlingLog()
    bench = Bench(looking(body, on_error="collect"), log=log)
    run = bench.opened(*SYMBOLS, timeout_seconds=10.0)
    late = stamp(10)

    def time_out() -> None:
        bench.clock.forward(seconds=10)
        bench.change(run.id, lambda now: now.time_out_in_stage(late))

    log.before_append[topic] = time_out
    bench.run_member(run, "AAPL")
    after = bench.log.execution(run.id)
    assert (after.phase, bench.member(run, "AAPL").phase) == (Phase.FAILED, Phase.CANCELLED)
    assert ("look", "AAPL") not in after.steps
    assert bench.topics(run.id)[-1] == "failed"


def test_a_member_that_is_interrupted_closes() -> None:
    """The run is being cancelled, and the member has finished nothing."""

    def body(ctx: Context, symbol: str) -> str:
        bench.cancel(run.id)
        bench.interruptions.interrupt(run.members["look", symbol].id, 1)
        raise AssertionError("the interrupt did not come")

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.CANCELLED
    assert bench.log.execution(run.id).phase is Phase.CANCELLED


@pytest.mark.parametrize("error", [TemporaryError("busy"), ValueError("never")])
def test_a_member_that_fails_while_its_run_is_cancelled_closes(error: Exception) -> None:
    """Neither a retry nor a failure overtakes a cancellation."""

    def body(ctx: Context, symbol: str) -> str:
        bench.cancel(run.id)
        raise error

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert (bench.member(run, "AAPL").phase, bench.log.execution(run.id).phase) == (Phase.CANCELLED, Phase.CANCELLED)


def test_a_cancelled_run_ends_with_the_last_of_its_members_at_work() -> None:
    """The first one to stop leaves it to the other one, which has its output in the record."""

    def body(ctx: Context, symbol: str) -> str:
        if symbol == "AAPL":
            bench.run_member(run, "IBM")
            phases.append(bench.log.execution(run.id).phase)
            return symbol
        bench.cancel(run.id)
        raise Interrupted

    phases: list[Phase] = []
    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert phases == [Phase.CANCELLING]
    assert bench.log.execution(run.id).phase is Phase.CANCELLED
    assert [bench.member(run, symbol).phase for symbol in SYMBOLS] == [
        *(Phase.SUCCEEDED, Phase.CANCELLED),
        Phase.WAITING,
    ]


def test_an_interrupt_of_which_the_log_knows_no_reason_costs_one_try() -> None:
    """The step is called again at once."""
    tries: list[str] = []

    def body(ctx: Context, symbol: str) -> str:
        tries.append(symbol)
        if len(tries) == 1:
            raise Interrupted
        return symbol.lower()

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    assert (tries, bench.member(run, "AAPL").phase) == (["AAPL", "AAPL"], Phase.SUCCEEDED)


def test_an_interrupt_of_one_member_does_not_hit_another() -> None:
    """Each is known by its own stream and attempt."""

    def body(ctx: Context, symbol: str) -> str:
        bench.interruptions.interrupt(run.id, 1)
        bench.interruptions.interrupt(run.members["look", "IBM"].id, 1)
        bench.interruptions.interrupt(run.members["look", symbol].id, 2)
        ctx.checkpoint()
        return symbol

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.SUCCEEDED


def test_a_member_makes_way_and_starts_anew() -> None:
    """As the attempt that was asked to; the run's record says for whom."""

    def body(ctx: Context, symbol: str) -> int:
        if ctx.attempt == 1:
            bench.change_member(run, symbol, ask)
            bench.interruptions.interrupt(run.members["look", symbol].id, 1)
        return ctx.attempt

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.PREEMPTED
    bench.run_member(run, "AAPL", attempt=2)
    after = bench.log.execution(run.id)
    assert (bench.member(run, "AAPL").phase, after.preemptions, after.preempted_by) == (Phase.SUCCEEDED, 1, OTHER)


def test_a_member_that_ends_before_it_hears_of_it_makes_way_to_nobody() -> None:
    """It gives its slot back by completing."""

    def body(ctx: Context, symbol: str) -> str:
        bench.change_member(run, symbol, ask)
        return symbol

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert (bench.member(run, "AAPL").phase, bench.log.execution(run.id).preemptions) == (Phase.SUCCEEDED, 0)


def test_a_cancellation_goes_before_a_preemption() -> None:
    """Asked for both, the member closes."""

    def body(ctx: Context, symbol: str) -> str:
        bench.change_member(run, symbol, ask)
        bench.cancel(run.id)
        raise Interrupted

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.CANCELLED


def test_a_member_past_its_step_s_time_is_tried_again_and_then_fails() -> None:
    """A timeout like any other: retried, and told as one when no retry is left."""
    bench = Bench(looking(look_for_ever, timeout=timedelta(milliseconds=5)))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.RETRY_WAIT
    bench.change_member(run, "AAPL", lambda branch: branch.fall_due(stamp()))
    bench.run_member(run, "AAPL", attempt=2)
    failed = bench.log.execution(run.id).failure
    assert failed is not None
    assert (failed.failure.type, failed.failure.timed_out, failed.symbol) == ("StepTimeout", True, "AAPL")


def test_the_run_s_own_time_ends_it_from_within_a_member() -> None:
    """With less of it left than the step may take: no retry, and the member closes."""
    bench = Bench(looking(look_for_ever, timeout=timedelta(seconds=60)))
    run = bench.opened(*SYMBOLS, timeout_seconds=0.005)
    bench.run_member(run, "AAPL")
    failed = bench.log.execution(run.id).failure
    assert failed is not None
    assert (failed.failure.type, failed.step, failed.symbol) == ("timeout", "look", "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.CANCELLED


def test_a_member_that_begins_after_the_run_s_time_ends_it() -> None:
    """Its step is never called."""

    def body(ctx: Context, symbol: str) -> str:
        raise AssertionError("the run's time is over")

    workflow = Workflow("looking", title="Test")

    @workflow.step
    def slow(ctx: Context) -> int:
        bench.clock.forward(seconds=9.5)
        return 1

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str, slow: int) -> int:
        bench.clock.forward(seconds=1)
        raise TemporaryError("busy")

    bench = Bench(workflow)
    run = bench.opened(*SYMBOLS, timeout_seconds=10.0)
    bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.RETRY_WAIT
    bench.change_member(run, "AAPL", lambda branch: branch.fall_due(stamp(20)))
    bench.run_member(run, "AAPL", attempt=2)
    failed = bench.log.execution(run.id).failure
    assert failed is not None
    assert (failed.failure.timed_out, failed.attempt, failed.step) == (True, 1, None)


def test_a_step_that_is_done_in_time_counts_although_the_run_s_time_is_over() -> None:
    """The boundary goes in first."""

    def body(ctx: Context, symbol: str) -> str:
        bench.clock.forward(seconds=11)
        return symbol

    bench = Bench(looking(body))
    run = bench.opened("AAPL", timeout_seconds=10.0)
    bench.run_member(run, "AAPL")
    assert bench.log.execution(run.id).phase is Phase.JOINED


def test_no_append_of_a_member_is_cut_in_two() -> None:
    """An interrupt in the middle of one, or of the reading for its progress, is only noted."""
    cut: list[str] = []

    def disturb(where: str) -> Callable[[], None]:
        def interrupt() -> None:
            try:
                bench.interruptions.interrupt(run.members["look", "AAPL"].id, 1)
            except Interrupted:
                cut.append(where)
                raise

        return interrupt

    def body(ctx: Context, symbol: str) -> str:
        ctx.progress(1, 2)
        return symbol

    log = MeddlingLog()
    bench = Bench(looking(body), log=log)
    run = bench.opened("AAPL")
    log.before_append = {topic: disturb(topic) for topic in ("branch.attempt_started", "branch.completed")}
    log.before_append["execution.stage_closed"] = disturb("stage_closed")
    log.before_look = [disturb("look")]
    bench.run_member(run, "AAPL")
    assert (cut, bench.log.execution(run.id).phase) == ([], Phase.JOINED)
