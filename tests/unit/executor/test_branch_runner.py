"""Members of a stage as tasks of their own, in memory: claimed once, tried again, and what their failures mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from shared.domain.branch import Branch
from shared.domain.branch_events import BranchAttemptStarted
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_records import StepState
from shared.domain.phases import Phase
from shared.workflow import Context, Decision, PermanentError, TemporaryError, Workflow
from tests.builders import WORKER, failure, stamp
from tests.unit.executor.bench import Bench, MeddlingLog, looking

SYMBOLS = ("AAPL", "IBM", "MSFT")
TASK = UUID("5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10")
PERMANENT = failure(retryable=False)
Calls = list[tuple[str, str | None]]


def beside(calls: Calls, **trouble: BaseException) -> Workflow:
    """A step for each symbol side by side, and one that joins; a symbol in `trouble` raises it, at each call."""
    workflow = Workflow("beside", title="Test", max_retries=1)

    @workflow.step(each="symbol", parallel=True, on_error="collect")
    def look(ctx: Context, symbol: str) -> str:
        calls.append(("look", symbol))
        ctx.artifact(f"{symbol}.txt", symbol)
        if symbol in trouble:
            raise trouble[symbol]
        return symbol.lower()

    @workflow.step
    def join(ctx: Context, look: dict[str, str]) -> str:
        calls.append(("join", None))
        return "+".join(look.values())

    return workflow


def test_members_run_apart_and_the_last_one_lets_the_run_go_on() -> None:
    """Each once, in any order; the join has all outputs, and the artifacts of all are the run's."""
    calls: Calls = []
    bench = Bench(beside(calls))
    run = bench.opened(*SYMBOLS)
    for symbol in ("MSFT", "AAPL"):
        assert bench.run_member(run, symbol)
        assert bench.log.execution(run.id).phase is Phase.AT_JOIN
    assert bench.run_member(run, "IBM")
    assert bench.log.execution(run.id).phase is Phase.JOINED

    done = bench.run(run.id, attempt=2)
    assert bench.result(done)["output"] == "aapl+ibm+msft"
    assert sorted(done.artifacts) == ["AAPL.txt", "IBM.txt", "MSFT.txt"]
    assert bench.objects.get(done.artifacts["IBM.txt"].ref) == b"IBM"
    assert calls == [("look", "MSFT"), ("look", "AAPL"), ("look", "IBM"), ("join", None)]


def test_a_pointer_that_comes_twice_late_or_for_nobody_runs_nothing() -> None:
    """A claim that the log refuses costs nothing."""
    calls: Calls = []
    bench = Bench(beside(calls))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    head = bench.log.head()
    assert not bench.run_member(run, "AAPL")
    assert not bench.run_member(run, "AAPL", attempt=2)
    assert not bench.run_member(run, "IBM", attempt=2)
    assert not bench.run_member(run, "ORCL")
    assert not bench.run_member(run, "IBM", step="join")
    assert not bench.run_member(run, "IBM", opening=2)
    assert not bench.branch_runner.run(uuid4(), opening=1, step="look", symbol="IBM", attempt=1, worker=WORKER)
    assert (calls, bench.log.head()) == ([("look", "AAPL")], head)


@pytest.mark.parametrize("over", ["closed", "cancelled", "failed", "opened anew"])
def test_a_pointer_to_a_member_of_a_stage_that_is_over_runs_nothing(over: str) -> None:
    """Whatever became of its run: what it would do, nobody waits for any more."""
    calls: Calls = []
    bench = Bench(beside(calls, IBM=TemporaryError("busy")))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "IBM")
    bench.change_member(run, "IBM", lambda branch: branch.fall_due(stamp()))
    match over:
        case "closed":
            for symbol in ("AAPL", "MSFT"):
                bench.run_member(run, symbol)
            bench.run_member(run, "IBM", attempt=2)
        case "cancelled":
            bench.cancel(run.id)
        case "failed":
            bench.change(run.id, fail)
        case "opened anew":
            bench.change(run.id, fail)
            bench.change(run.id, lambda now: now.retry_now(stamp()))
            assert bench.run(run.id, attempt=2).opening == 2
    calls.clear()
    for attempt in (1, 2, 3):
        assert not bench.run_member(run, "IBM", attempt=attempt)
    assert calls == []


def fail(run: WorkflowExecution) -> None:
    """Fail a run at its join."""
    run.fail_in_stage(stamp(), failure=PERMANENT)


def test_another_worker_that_claims_first_wins() -> None:
    """The same pointer came to two: the one whose append comes second leaves, and does not call the step."""
    calls: Calls = []
    log = MeddlingLog()
    bench = Bench(beside(calls), log=log)
    run = bench.opened(*SYMBOLS)
    log.before_append[BranchAttemptStarted.TOPIC] = lambda: bench.change_member(
        run, "AAPL", lambda branch: branch.claim(stamp(), attempt=1, worker="other")
    )
    assert not bench.run_member(run, "AAPL")
    branch = bench.member(run, "AAPL")
    assert (calls, branch.worker, branch.phase, branch.version) == ([], "other", Phase.RUNNING, 1)


def test_a_sibling_that_is_claimed_at_the_same_time_is_no_conflict() -> None:
    """Members write to streams of their own, and none of them moves the run's."""
    log = MeddlingLog()
    bench = Bench(beside([]), log=log)
    run = bench.opened(*SYMBOLS)
    log.before_append[BranchAttemptStarted.TOPIC] = lambda: bench.run_member(run, "IBM", worker="other")
    assert bench.run_member(run, "AAPL")
    assert [bench.member(run, symbol).phase for symbol in ("AAPL", "IBM")] == [Phase.SUCCEEDED] * 2


def test_a_run_that_is_cancelled_while_a_member_is_claimed_starts_no_member() -> None:
    """Nobody was at work, so that the run has ended: the claim is refused, though its own stream has not moved."""
    calls: Calls = []
    log = MeddlingLog()
    bench = Bench(beside(calls), log=log)
    run = bench.opened(*SYMBOLS)
    log.before_append[BranchAttemptStarted.TOPIC] = lambda: bench.cancel(run.id)
    assert not bench.run_member(run, "AAPL")
    assert (calls, bench.log.execution(run.id).phase) == ([], Phase.CANCELLED)
    assert log.stream(bench.member(run, "AAPL").id) == []


def test_a_run_that_moves_on_and_waits_all_the_same_has_its_member_claimed() -> None:
    """An order of an earlier step is filled in between: the claim is decided again, and won."""
    log = MeddlingLog()
    bench = Bench(looking(lambda ctx, symbol: symbol, trades=True), log=log)
    bench.venue.fills = False
    run = bench.opened(*SYMBOLS)
    log.before_append[BranchAttemptStarted.TOPIC] = lambda: bench.fill_order(run.id)
    assert bench.run_member(run, "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.SUCCEEDED


def test_a_busy_member_waits_for_its_retry_and_is_then_collected() -> None:
    """Its delays and its limit are the run's own; the others go on without it."""
    calls: Calls = []
    bench = Bench(beside(calls, IBM=TemporaryError("busy")))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "IBM")
    waiting = bench.member(run, "IBM")
    assert (waiting.phase, waiting.next_retry_at) == (Phase.RETRY_WAIT, bench.clock() + timedelta(seconds=1))
    bench.change_member(run, "IBM", lambda branch: branch.fall_due(stamp()))
    bench.run_member(run, "IBM", attempt=2)
    assert bench.member(run, "IBM").phase is Phase.FAILED
    for symbol in ("AAPL", "MSFT"):
        bench.run_member(run, symbol)
    done = bench.run(run.id, attempt=2)
    assert (bench.result(done)["output"], [e["symbol"] for e in bench.result(done)["errors"]]) == ("aapl+msft", ["IBM"])


def test_a_member_is_tried_again_as_its_step_says() -> None:
    """After its step's first delay, then twice as long; a server that asks for longer is believed."""
    retry_after: list[float | None] = [None, None, 30]

    def body(ctx: Context, symbol: str) -> str:
        raise TemporaryError("busy", retry_after=retry_after[ctx.attempt - 1])

    bench = Bench(looking(body, max_retries=3, first_retry_delay=timedelta(seconds=2)))
    run = bench.opened(*SYMBOLS)
    delays = []
    for attempt in (1, 2, 3):
        bench.run_member(run, "AAPL", attempt=attempt)
        due_at = bench.member(run, "AAPL").next_retry_at
        assert due_at is not None
        delays.append((due_at - bench.clock()).total_seconds())
        bench.change_member(run, "AAPL", lambda branch: branch.fall_due(stamp()))
    assert delays == [2, 4, 30]
    record = bench.log.execution(run.id).steps["look", "AAPL"]
    assert (record.state, record.retries, record.attempts) == (StepState.RETRYING, 3, 3)


def test_a_member_that_fails_for_good_ends_its_run_and_the_others_never_start() -> None:
    """Unless its step collects errors."""

    def body(ctx: Context, symbol: str) -> str:
        raise PermanentError("never")

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    after = bench.log.execution(run.id)
    assert after.failure is not None
    assert (after.phase, after.failure.step, after.failure.symbol) == (Phase.FAILED, "look", "AAPL")
    assert 'raise PermanentError("never")' in after.failure.failure.traceback
    assert not bench.run_member(run, "IBM")


@pytest.mark.parametrize("end", ["finish", "fail", "fail for good"])
def test_a_sibling_at_work_closes_when_its_run_has_failed(end: str) -> None:
    """What it brings then, output or error, is not added to a run that has ended."""

    def body(ctx: Context, symbol: str) -> str:
        if symbol == "AAPL":
            assert bench.run_member(run, "IBM", worker="other")
            if end == "fail":
                raise TemporaryError("busy")
        if symbol == "IBM" or end == "fail for good":
            raise PermanentError("never")
        return symbol

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    after = bench.log.execution(run.id)
    assert after.failure is not None
    assert (after.phase, after.failure.symbol) == (Phase.FAILED, "IBM")
    assert bench.member(run, "AAPL").phase is Phase.CANCELLED
    assert ("look", "AAPL") not in after.steps
    assert bench.log.stream(bench.member(run, "AAPL").id)[-1].TOPIC == "branch.closed"


def test_a_worker_that_lost_its_member_leaves_no_trace() -> None:
    """Another attempt has taken its place while the step was at work; what it brings is refused."""

    def lose(branch: Branch) -> None:
        branch.lose_worker(stamp(), attempt=1, worker=WORKER, reason="r", max_losses=3)

    def body(ctx: Context, symbol: str) -> str:
        if ctx.attempt == 1:
            bench.change_member(run, symbol, lose)
            assert bench.run_member(run, symbol, attempt=2, worker="other")
        return f"by attempt {ctx.attempt}"

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    assert bench.run_member(run, "AAPL")
    record = bench.log.execution(run.id).steps["look", "AAPL"]
    assert record.output is not None
    assert (record.output.inline, record.worker) == ("by attempt 2", "other")
    assert bench.member(run, "AAPL").version == 4


def test_a_member_may_not_trade() -> None:
    """Nobody could tell the order in which it would."""

    def body(ctx: Context, symbol: str) -> Any:
        return ctx.broker.place(Decision(symbol=symbol, action="buy", quantity=1, reason="r"))

    bench = Bench(looking(body, on_error="collect"))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    failed = bench.log.execution(run.id).steps["look", "AAPL"].failure
    assert failed is not None
    assert 'effect="orders"' in failed.message
    assert bench.venue.received == []


@pytest.mark.parametrize(("on_error", "level"), [("fail", "error"), ("collect", "info")])
def test_a_failure_that_ends_the_run_is_an_error_in_the_log_with_its_traceback(on_error: Any, level: str) -> None:
    """One that is collected is on record with its traceback too, and no error of the run."""

    def body(ctx: Context, symbol: str) -> str:
        raise ValueError("no such thing")

    bench = Bench(looking(body, on_error=on_error))
    run = bench.opened(*SYMBOLS)
    with structlog.testing.capture_logs() as logs:
        bench.run_member(run, "AAPL")
    (line,) = (line for line in logs if line["event"] == "step.failed")
    assert (line["log_level"], line["step"], line["symbol"]) == (level, "look", "AAPL")
    assert "ValueError: no such thing" in line["traceback"]


@pytest.mark.parametrize(("gone", "type_"), [(True, "strategy_not_loaded"), (False, "definition_changed")])
def test_a_run_whose_definition_is_gone_fails_from_its_member(*, gone: bool, type_: str) -> None:
    """With the sentence that says what to do; the member closes, and is not said to have failed by itself."""
    bench = Bench(beside([]))
    run = bench.opened(*SYMBOLS)
    bench.deploy(*([] if gone else [Workflow("beside", title="Another")]))
    with structlog.testing.capture_logs() as logs:
        bench.run_member(run, "AAPL")
    assert ("execution.failed", "error", type_) in [(x["event"], x["log_level"], x.get("error")) for x in logs]
    failure = bench.log.execution(run.id).failure
    assert failure is not None
    assert (failure.failure.type, failure.step, failure.symbol) == (type_, "look", "AAPL")
    assert bench.member(run, "AAPL").phase is Phase.CANCELLED


def test_artifacts_of_a_member_are_those_of_the_attempt_that_completed() -> None:
    """What a failed try has kept is not the run's."""

    def body(ctx: Context, symbol: str) -> str:
        ctx.artifact(f"{symbol}-{ctx.attempt}.txt", "text")
        if ctx.attempt == 1:
            raise TemporaryError("busy")
        return symbol

    bench = Bench(looking(body))
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    bench.change_member(run, "AAPL", lambda branch: branch.fall_due(stamp()))
    bench.run_member(run, "AAPL", attempt=2)
    assert list(bench.log.execution(run.id).artifacts) == ["AAPL-2.txt"]


def test_a_group_goes_on_without_the_symbols_that_failed_before_it() -> None:
    """Each of its steps is told of them by the record, though it reads no more of it than it needs."""
    workflow = Workflow("charts", title="Test", max_retries=0)

    @workflow.step(each="symbol", parallel=True, on_error="collect")
    def load(ctx: Context, symbol: str) -> int:
        if symbol == "IBM":
            raise PermanentError("never")
        return len(symbol)

    @workflow.step(each="symbol", parallel=True)
    def rate(ctx: Context, symbol: str, load: int) -> int:
        return load * 2

    @workflow.step(group="charts")
    def daily(ctx: Context, rate: dict[str, int]) -> list[str]:
        return sorted(rate)

    @workflow.step(group="charts")
    def weekly(ctx: Context, rate: dict[str, int]) -> int:
        return sum(rate.values())

    @workflow.step
    def report(ctx: Context, daily: list[str], weekly: int) -> list[Any]:
        return [daily, weekly]

    bench = Bench(workflow)
    bench.run_stage(bench.opened(*SYMBOLS, task_id=TASK))
    bench.run_stage(bench.run(TASK, attempt=2))
    bench.run_stage(bench.run(TASK, attempt=3))
    done = bench.run(TASK, attempt=4)
    assert bench.result(done)["output"] == [["AAPL", "MSFT"], 16]
    assert [record.state for record in done.steps.values()].count(StepState.FAILED) == 1
