"""One attempt at a run: claims, boundaries, retries, failures, cancellation and time, on a log in memory."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.execution_records import StepState
from shared.domain.phases import Phase
from shared.workflow import Context, Decision, TemporaryError, Workflow
from tests.builders import failure, stamp
from tests.unit.executor.bench import WORKER, Bench


def workflow_of(*bodies: Callable[..., Any], **options: Any) -> Workflow:
    """A workflow of run-level steps."""
    workflow = Workflow("plain", title="Plain", **options)
    for body in bodies:
        workflow.step(body)
    return workflow


def load(ctx: Context) -> int:
    """Return seven."""
    return 7


def test_a_run_goes_through_its_steps_and_succeeds() -> None:
    """Each step is one event, the last one and the success stand in one append."""

    def double(ctx: Context, load: int) -> int:
        return 2 * load

    bench = Bench(workflow_of(load, double))
    task_id = bench.submit()

    execution = bench.run(task_id)

    assert bench.topics(task_id) == ["submitted", "attempt_started", "step_completed", "step_completed", "succeeded"]
    assert execution.phase is Phase.SUCCEEDED
    assert bench.result(execution)["output"] == 14
    last, success = bench.log.stream(task_id)[-2:]
    assert last.append_id == success.append_id


def test_a_pointer_that_comes_twice_runs_once() -> None:
    """The second claim of an attempt is refused without a trace in the log."""
    bench = Bench(workflow_of(load))
    task_id = bench.submit()
    bench.run(task_id)
    before = bench.topics(task_id)

    assert not bench.runner.run(task_id, 1, worker="other")
    assert not bench.runner.run(task_id, 2, worker="other")
    assert bench.topics(task_id) == before


def test_a_pointer_to_an_attempt_that_is_not_next_is_refused() -> None:
    """A pointer from the future claims nothing."""
    bench = Bench(workflow_of(load))
    task_id = bench.submit()

    assert not bench.runner.run(task_id, 2, worker=WORKER)
    assert bench.topics(task_id) == ["submitted"]


def test_a_retry_goes_on_from_the_failed_step() -> None:
    """A temporary error gives the worker back for 1, 2, then 4 seconds; finished steps never run again."""
    calls: list[str] = []

    def first(ctx: Context) -> int:
        calls.append("first")
        return 1

    def second(ctx: Context, first: int) -> int:
        calls.append("second")
        if ctx.attempt < 4:
            raise TemporaryError("the venue is busy")
        return first + 1

    bench = Bench(workflow_of(first, second))
    task_id = bench.submit()
    delays = []
    for attempt in (1, 2, 3):
        execution = bench.run(task_id, attempt)
        assert execution.phase is Phase.RETRY_WAIT
        assert execution.next_retry_at is not None
        delays.append((execution.next_retry_at - bench.clock()).total_seconds())
        bench.fall_due(task_id)

    execution = bench.run(task_id, 4)

    assert delays == [1, 2, 4]
    assert calls == ["first", "second", "second", "second", "second"]
    assert (execution.phase, execution.attempts, bench.result(execution)["output"]) == (Phase.SUCCEEDED, 4, 2)


def test_delays_are_those_of_the_step_and_spread_as_the_workflow_says() -> None:
    """A step's own first delay goes before the workflow's; jitter takes off up to its share, never the same for all."""
    workflow = Workflow("jittery", title="Test", max_retries=1, retry_jitter=0.5)

    @workflow.step(first_retry_delay=timedelta(seconds=8))
    def busy(ctx: Context) -> int:
        raise TemporaryError("the venue is busy")

    bench = Bench(workflow)
    runs = [bench.run(bench.submit(retry_jitter=workflow.describe().retry_jitter)) for _ in range(50)]
    delays = {(run.next_retry_at - bench.clock()).total_seconds() for run in runs if run.next_retry_at is not None}

    assert len(delays) > 40
    assert 4 <= min(delays) < 5
    assert 7 < max(delays) <= 8


def test_the_last_retry_that_fails_ends_the_run() -> None:
    """After max_retries the temporary error is the run's own."""

    def busy(ctx: Context) -> None:
        raise TemporaryError("the venue is busy")

    bench = Bench(workflow_of(busy, max_retries=1))
    task_id = bench.submit()
    bench.run(task_id, 1)
    bench.fall_due(task_id)

    execution = bench.run(task_id, 2)

    assert execution.phase is Phase.FAILED
    assert execution.failure is not None
    assert (execution.failure.step, execution.failure.failure.type) == ("busy", "TemporaryError")


def test_retry_after_is_honoured_when_it_asks_for_longer() -> None:
    """A server that says when to come back is believed."""

    def limited(ctx: Context) -> None:
        raise TemporaryError("429", retry_after=30)

    bench = Bench(workflow_of(limited))
    execution = bench.run(bench.submit())

    assert execution.next_retry_at is not None
    assert (execution.next_retry_at - bench.clock()).total_seconds() == 30


def test_a_permanent_error_ends_the_run_with_its_traceback() -> None:
    """No retry; the record bears type, message, step and the whole traceback."""

    def wrong(ctx: Context) -> None:
        raise ValueError("prices are negative")

    bench = Bench(workflow_of(load, wrong))
    task_id = bench.submit()
    execution = bench.run(task_id)

    assert execution.failure is not None
    recorded = execution.failure.failure
    assert (recorded.type, recorded.message, execution.failure.step) == ("ValueError", "prices are negative", "wrong")
    assert 'raise ValueError("prices are negative")' in recorded.traceback
    assert execution.steps["load", None].state is StepState.COMPLETED
    assert execution.steps["wrong", None].state is StepState.FAILED


def test_a_collected_failure_is_in_the_result_and_the_others_go_on() -> None:
    """`on_error="collect"` keeps the symbol's error and takes the symbol out of what builds on it."""
    workflow = Workflow("collecting", title="Collecting")

    @workflow.step(each="symbol", on_error="collect")
    def price(ctx: Context, symbol: str) -> int:
        if symbol == "BAD":
            raise ValueError("no such symbol")
        return len(symbol)

    @workflow.step(each="symbol")
    def twice(ctx: Context, symbol: str, price: int) -> int:
        return 2 * price

    bench = Bench(workflow)
    execution = bench.run(bench.submit("AAPL", "BAD"))

    assert bench.result(execution)["errors"] == [
        {"step": "price", "symbol": "BAD", "type": "ValueError", "message": "no such symbol"}
    ]
    assert bench.result(execution)["output"] == {"AAPL": 8}


def test_a_collected_failure_at_the_very_end_still_ends_the_run() -> None:
    """The run succeeds although its last position did not complete."""
    workflow = Workflow("last", title="Last fails")

    @workflow.step(each="symbol", on_error="collect")
    def price(ctx: Context, symbol: str) -> int:
        if symbol == "BAD":
            raise ValueError("no such symbol")
        return 1

    bench = Bench(workflow)
    execution = bench.run(bench.submit("AAPL", "BAD"))

    assert execution.phase is Phase.SUCCEEDED


def test_a_cancelled_run_stops_at_the_boundary_with_the_finished_step_recorded() -> None:
    """The boundary that was reached goes in first, then the run is cancelled; the next step never runs."""
    ran: list[str] = []

    def first(ctx: Context) -> int:
        bench.cancel(task_id)
        return 1

    def second(ctx: Context, first: int) -> int:
        ran.append("second")
        return 2

    bench = Bench(workflow_of(first, second))
    task_id = bench.submit()
    execution = bench.run(task_id)

    assert execution.phase is Phase.CANCELLED
    assert bench.topics(task_id)[2:] == ["cancel_requested", "step_completed", "cancelled"]
    assert ran == []


def test_a_run_that_is_cancelled_in_its_last_step_ends_cancelled() -> None:
    """After CancelRequested only Cancelled may end a run, even when all its work is done."""

    def only(ctx: Context) -> int:
        bench.cancel(task_id)
        return 1

    bench = Bench(workflow_of(only))
    task_id = bench.submit()

    assert bench.run(task_id).phase is Phase.CANCELLED


@pytest.mark.parametrize("error", [TemporaryError("later"), ValueError("never")])
def test_a_run_that_fails_while_it_is_cancelled_ends_cancelled(error: Exception) -> None:
    """Neither a retry nor a failure overtakes a cancellation."""

    def only(ctx: Context) -> int:
        bench.cancel(task_id)
        raise error

    bench = Bench(workflow_of(only))
    task_id = bench.submit()

    assert bench.run(task_id).phase is Phase.CANCELLED


def test_a_worker_that_lost_its_attempt_stops_without_a_trace() -> None:
    """The log refuses what an ended attempt brings, and the worker leaves."""

    def slow(ctx: Context) -> int:
        bench.change(
            task_id,
            lambda run: run.schedule_retry(
                stamp(1),
                attempt=1,
                step="slow",
                symbol=None,
                failure=failure(),
                started_at=stamp().at,
                due_at=stamp(2).at,
            ),
        )
        bench.fall_due(task_id)
        return 1

    bench = Bench(workflow_of(slow))
    task_id = bench.submit()
    execution = bench.run(task_id)

    assert execution.phase is Phase.RETRY_DUE
    assert bench.topics(task_id)[2:] == ["retry_scheduled", "retry_due"]


def test_a_run_past_its_time_fails_at_the_next_boundary() -> None:
    """Time at work counts over all attempts; finished steps stay."""

    def slow(ctx: Context) -> int:
        bench.clock.forward(seconds=61)
        return 1

    def never(ctx: Context, slow: int) -> int:
        raise AssertionError("the run's time is over")

    bench = Bench(workflow_of(slow, never))
    execution = bench.run(bench.submit(timeout_seconds=60.0))

    assert execution.failure is not None
    assert (execution.failure.failure.type, execution.failure.failure.timed_out) == ("timeout", True)
    assert execution.steps["slow", None].state is StepState.COMPLETED


def test_time_spent_before_a_retry_counts_and_waiting_does_not() -> None:
    """The budget of 60 s is used up by 35 s in the first attempt and 35 s in the second, not by the hour between."""

    def slow(ctx: Context) -> int:
        bench.clock.forward(seconds=35)
        if ctx.attempt == 1:
            raise TemporaryError("later")
        return 1

    def never(ctx: Context, slow: int) -> int:
        raise AssertionError("the run's time is over")

    bench = Bench(workflow_of(slow, never))
    task_id = bench.submit(timeout_seconds=60.0)
    bench.run(task_id, 1)
    bench.clock.forward(hours=1)
    bench.fall_due(task_id)
    execution = bench.run(task_id, 2)

    assert execution.failure is not None
    assert execution.failure.failure.timed_out
    assert execution.steps["slow", None].state is StepState.COMPLETED


def test_a_run_whose_definition_has_changed_fails_with_a_sentence() -> None:
    """The steps are pinned to the run; another definition does not take it over."""
    bench = Bench(workflow_of(load))
    execution = bench.run(bench.submit(definition_hash="f" * 64))

    assert execution.failure is not None
    assert execution.failure.failure.type == "definition_changed"
    assert "submit it again" in execution.failure.failure.message


def test_a_run_whose_strategy_is_not_loaded_fails_with_a_sentence() -> None:
    """A worker that lacks the strategy says where to look."""
    bench = Bench(workflow_of(load))
    execution = bench.run(bench.submit(strategy_id="gone"))

    assert execution.failure is not None
    assert execution.failure.failure.type == "strategy_not_loaded"


def test_progress_is_reported_at_each_boundary_and_within_steps() -> None:
    """The board sees every position begin, in order, and what a step says of itself."""
    workflow = Workflow("reporting", title="Reporting")

    @workflow.step(each="symbol")
    def look(ctx: Context, symbol: str) -> int:
        ctx.progress(1, 2, "half way")
        return 1

    bench = Bench(workflow)
    bench.run(bench.submit("AAPL", "MSFT"))

    seen = [(meta.result["current_symbol"], meta.result["step_progress"]) for meta in bench.board.metas]
    half = {"done": 1, "total": 2, "message": "half way"}
    assert seen == [("AAPL", None), ("AAPL", half), ("MSFT", None), ("MSFT", half)]
    assert [meta.sequence for meta in bench.board.metas] == [1, 2, 3, 4]


def test_an_artifact_is_kept_with_the_step_that_made_it() -> None:
    """The result lists it with its hash, and the object store has it."""

    def report(ctx: Context) -> None:
        ctx.artifact("note.txt", "bought low")

    bench = Bench(workflow_of(report))
    execution = bench.run(bench.submit())

    (artifact,) = bench.result(execution)["artifacts"]
    assert (artifact["name"], artifact["size"]) == ("note.txt", 10)
    assert bench.objects.get(execution.artifacts["note.txt"].ref) == b"bought low"


def test_decisions_of_the_final_steps_are_the_results() -> None:
    """The result lists what was decided, in JSON."""

    def decide(ctx: Context) -> list[Decision]:
        return [Decision(symbol="MSFT", action="buy", quantity=10, reason="cheap")]

    bench = Bench(workflow_of(decide))
    execution = bench.run(bench.submit())

    (decision,) = bench.result(execution)["decisions"]
    assert (decision["symbol"], decision["action"], decision["quantity"]) == ("MSFT", "buy", "10")
