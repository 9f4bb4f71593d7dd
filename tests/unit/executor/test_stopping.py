"""An attempt that is cut short: what it writes, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from services.executor.interruption import Interrupted
from shared.domain.events import Event
from shared.domain.execution_records import StepState
from shared.domain.phases import Phase
from shared.log.recorder import Guard
from shared.workflow import Context, Decision, Order, Workflow
from tests.builders import stamp
from tests.memory_log import MemoryEventLog
from tests.unit.executor.bench import Bench

OTHER = "5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10"


def two_steps(body: Callable[[Context], int], *, timeout: timedelta | None = None) -> Workflow:
    """A workflow of a step that is soon done, and one that does as it is told."""
    workflow = Workflow("stopping", title="Test", max_retries=1)

    @workflow.step
    def first(ctx: Context) -> int:
        return 1

    @workflow.step(timeout=timeout)
    def second(ctx: Context, first: int) -> int:
        return body(ctx)

    return workflow


def ask(bench: Bench, task_id: UUID, attempt: int = 1) -> None:
    """Ask an attempt to make way, as the dispatcher does."""
    bench.change(task_id, lambda run: run.request_preemption(stamp(), attempt=attempt, preempted_by=OTHER))


def test_an_interrupted_step_makes_way_and_goes_on_from_there() -> None:
    """The finished step stays, the one that was cut short runs again, and the record says for whom."""
    calls: list[int] = []

    def body(ctx: Context) -> int:
        calls.append(ctx.attempt)
        if ctx.attempt == 1:
            ask(bench, task_id)
            raise Interrupted
        return 42

    bench = Bench(two_steps(body))
    task_id = bench.submit()
    preempted = bench.run(task_id)
    assert (preempted.phase, preempted.preempted_by, preempted.preemptions) == (Phase.PREEMPTED, OTHER, 1)
    execution = bench.run(task_id, 2)

    assert (execution.phase, calls) == (Phase.SUCCEEDED, [1, 2])
    assert bench.topics(task_id)[1:] == [
        *("attempt_started", "step_completed", "preemption_requested", "preempted"),
        *("attempt_started", "step_completed", "succeeded"),
    ]


def test_a_step_that_ends_before_it_hears_of_it_is_recorded_first() -> None:
    """A run that was asked makes way at the boundary, and the next step does not begin."""
    workflow = Workflow("stopping", title="Test")

    @workflow.step
    def first(ctx: Context) -> int:
        if ctx.attempt == 1:
            ask(bench, task_id)
        return 1

    @workflow.step
    def second(ctx: Context, first: int) -> int:
        assert ctx.attempt == 2
        return 2

    bench = Bench(workflow)
    task_id = bench.submit()
    execution = bench.run(task_id)

    assert execution.phase is Phase.PREEMPTED
    assert execution.steps["first", None].state is StepState.COMPLETED
    assert bench.run(task_id, 2).phase is Phase.SUCCEEDED


def test_a_run_that_ends_with_its_last_step_makes_way_to_nobody() -> None:
    """It gives the slot back by succeeding."""

    def body(ctx: Context) -> int:
        ask(bench, task_id)
        return 42

    bench = Bench(two_steps(body))
    task_id = bench.submit()
    assert bench.run(task_id).phase is Phase.SUCCEEDED


def test_a_cancellation_goes_before_a_preemption() -> None:
    """Asked for both, the run is cancelled."""

    def body(ctx: Context) -> int:
        ask(bench, task_id)
        bench.cancel(task_id)
        raise Interrupted

    bench = Bench(two_steps(body))
    task_id = bench.submit()
    assert bench.run(task_id).phase is Phase.CANCELLED


def test_an_interrupt_without_a_reason_costs_a_try_and_nothing_else() -> None:
    """It was meant for an attempt that is over, or came twice: the log asks for nothing, and the step runs again."""
    calls: list[int] = []

    def body(ctx: Context) -> int:
        calls.append(ctx.attempt)
        if len(calls) == 1:
            raise Interrupted
        return 42

    bench = Bench(two_steps(body))
    execution = bench.run(bench.submit())

    assert (execution.phase, execution.attempts, calls) == (Phase.SUCCEEDED, 1, [1, 1])
    assert [meta.sequence for meta in bench.board.metas] == [1, 2, 3], "older progress is never shown over newer"


def test_a_checkpoint_is_a_safe_point() -> None:
    """What was noted while nothing could be raised is obeyed there."""

    def body(ctx: Context) -> int:
        if ctx.attempt == 1:
            ask(bench, task_id)
            bench.interruptions.interrupt(task_id, 1)
            ctx.checkpoint()
        return ctx.attempt

    bench = Bench(two_steps(body))
    task_id = bench.submit()
    assert bench.run(task_id).phase is Phase.PREEMPTED
    assert bench.result(bench.run(task_id, 2))["output"] == 2


def test_an_attempt_that_was_lost_stops_without_a_trace() -> None:
    """Interrupted when another attempt has taken its place, it writes nothing."""

    def body(ctx: Context) -> int:
        bench.change(task_id, lambda run: run.lose_worker(stamp(), attempt=1, worker="w", reason="r", max_losses=3))
        raise Interrupted

    bench = Bench(two_steps(body))
    task_id = bench.submit()
    bench.run(task_id)
    assert bench.topics(task_id)[-1] == "worker_lost"


def test_an_order_on_its_way_is_settled_before_a_cancellation_is_obeyed() -> None:
    """The interrupt that comes with the order at the venue is heard once its outcome is in the log."""
    workflow = Workflow("stopping", title="Test")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        decision = Decision(symbol="MSFT", action="buy", quantity=1, reason="r")
        return [ctx.broker.place(decision), ctx.broker.place(decision)]

    bench = Bench(workflow)
    task_id = bench.submit()

    def cancel() -> None:
        bench.cancel(task_id)
        bench.interruptions.interrupt(task_id, 1)

    bench.venue.on_arrival = cancel
    execution = bench.run(task_id)

    assert execution.phase is Phase.CANCELLED
    assert [order.state for order in execution.orders.values()] == ["filled"]
    assert len(bench.venue.received) == 1


def test_a_run_whose_worker_dies_past_its_time_fails_with_it() -> None:
    """A child that was ended because its step did not stop is no reason to begin again."""

    def body(ctx: Context) -> int:
        bench.clock.forward(seconds=11)
        late = stamp(11)
        bench.change(task_id, lambda run: run.lose_worker(late, attempt=1, worker="w", reason="r", max_losses=3))
        raise Interrupted

    bench = Bench(two_steps(body))
    task_id = bench.submit(timeout_seconds=10.0)
    execution = bench.run(task_id)

    assert execution.failure is not None
    assert (execution.failure.failure.timed_out, execution.failure.step) == (True, "second")


def test_no_append_is_cut_in_two() -> None:
    """Whatever a step does that appends, an interrupt in the middle of it is only noted: also at a run's deadline."""

    class Disturbed(MemoryEventLog):
        """A log in whose appends an interrupt comes each time."""

        def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
            """Interrupt whatever runs, then append."""
            try:
                for event in events:
                    bench.interruptions.interrupt(event.originator_id, 1)
            except Interrupted:
                cut.extend(event.TOPIC for event in events)
                raise
            return super().append(events, guard=guard)

    workflow = Workflow("stopping", title="Test")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        return [ctx.broker.place(Decision(symbol="MSFT", action="buy", quantity=1, reason="r"))]

    @workflow.step
    def late(ctx: Context, trade: list[Order]) -> int:
        bench.clock.forward(hours=2)
        ctx.checkpoint()
        return 1

    @workflow.step
    def never(ctx: Context, late: int) -> int:
        raise AssertionError("the run's time is over")

    cut: list[str] = []
    bench = Bench(workflow, log=Disturbed())
    execution = bench.run(bench.submit())

    assert [order.state for order in execution.orders.values()] == ["filled"]
    assert execution.failure is not None
    assert execution.failure.failure.timed_out
    assert (len(bench.venue.received), cut) == (1, [])


def look_for_ever(ctx: Context) -> int:
    """Go on until a checkpoint ends it."""
    while True:
        ctx.checkpoint()


def test_a_step_past_its_own_time_is_tried_again_and_then_fails() -> None:
    """It is a timeout like any other: retried, and told as one when no retry is left."""
    bench = Bench(two_steps(look_for_ever, timeout=timedelta(milliseconds=5)))
    task_id = bench.submit()
    assert bench.run(task_id).phase is Phase.RETRY_WAIT
    bench.fall_due(task_id)
    execution = bench.run(task_id, 2)

    assert execution.failure is not None
    failure = execution.failure.failure
    assert (failure.type, failure.timed_out, execution.failure.step) == ("StepTimeout", True, "second")
    assert "0.005 s" in failure.message


def test_the_runs_own_time_goes_before_a_steps() -> None:
    """With less of it left than the step may take, the run has timed out, and is not tried again."""
    bench = Bench(two_steps(look_for_ever, timeout=timedelta(seconds=60)))
    execution = bench.run(bench.submit(timeout_seconds=0.005))

    assert execution.failure is not None
    assert (execution.failure.failure.type, execution.failure.step) == ("timeout", "second")
