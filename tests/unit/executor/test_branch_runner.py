"""Members of a stage as tasks of their own, in memory: claimed once, joined once, stopped with their run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.executor.interruption import Interrupted
from shared.domain.branch import Branch
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.log.recorder import Guard
from shared.workflow import Context, Decision, PermanentError, TemporaryError, Workflow
from tests.builders import WORKER, stamp
from tests.memory_log import MemoryEventLog
from tests.unit.executor.bench import Bench

SYMBOLS = ("AAPL", "IBM", "MSFT")
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


def opened(bench: Bench) -> WorkflowExecution:
    """A run that has come to its stage."""
    run = bench.run(bench.submit(*SYMBOLS))
    assert run.phase is Phase.AT_JOIN
    return run


def run_member(
    bench: Bench, run: WorkflowExecution, symbol: str | None, *, step: str = "look", attempt: int = 1
) -> bool:
    """Run one attempt of a member, as the pointer to it says."""
    return bench.branch_runner.run(
        run.id, opening=run.opening, step=step, symbol=symbol, attempt=attempt, worker=WORKER
    )


def member(bench: Bench, run: WorkflowExecution, symbol: str) -> Branch:
    """A member as the log has it."""
    return bench.log.execution(run.id).members["look", symbol]


def test_members_run_apart_and_the_last_one_lets_the_run_go_on() -> None:
    """Each once, in any order; the join has all outputs, and the artifacts of all are the run's."""
    calls: Calls = []
    bench = Bench(beside(calls))
    run = opened(bench)
    for symbol in ("MSFT", "AAPL"):
        assert run_member(bench, run, symbol)
        assert bench.log.execution(run.id).phase is Phase.AT_JOIN
    assert run_member(bench, run, "IBM")
    assert bench.log.execution(run.id).phase is Phase.JOINED

    done = bench.run(run.id, attempt=2)
    assert bench.result(done)["output"] == "aapl+ibm+msft"
    assert sorted(done.artifacts) == ["AAPL.txt", "IBM.txt", "MSFT.txt"]
    assert calls == [("look", "MSFT"), ("look", "AAPL"), ("look", "IBM"), ("join", None)]


def test_a_pointer_that_comes_twice_late_or_for_nobody_runs_nothing() -> None:
    """A claim that the log refuses costs nothing."""
    calls: Calls = []
    bench = Bench(beside(calls))
    run = opened(bench)
    assert run_member(bench, run, "AAPL")
    assert not run_member(bench, run, "AAPL")
    assert not run_member(bench, run, "IBM", attempt=2)
    assert not run_member(bench, run, "ORCL")
    assert not bench.branch_runner.run(run.id, opening=2, step="look", symbol="IBM", attempt=1, worker=WORKER)
    assert calls == [("look", "AAPL")]


class Meddling(MemoryEventLog):
    """A log in which somebody cancels a run between the reading of a branch and the next append."""

    victim: UUID | None = None

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Cancel first."""
        if self.victim is not None:
            victim, self.victim = self.execution(self.victim), None
            victim.request_cancel(stamp(), reason="enough")
            super().append(victim.collect_events())
        return super().append(events, guard=guard)


def test_a_run_that_is_cancelled_while_a_member_is_claimed_starts_no_member() -> None:
    """Nobody was at work, so that the run has ended: the claim is refused, though its own stream has not moved."""
    calls: Calls = []
    log = Meddling()
    bench = Bench(beside(calls), log=log)
    run = opened(bench)
    log.victim = run.id
    assert not run_member(bench, run, "AAPL")
    assert (calls, bench.log.execution(run.id).phase) == ([], Phase.CANCELLED)
    assert log.stream(member(bench, run, "AAPL").id) == []


def test_what_is_finished_counts_while_the_run_is_being_cancelled_and_the_last_one_cancels_it() -> None:
    """Its output is part of what the run leaves behind."""
    workflow = Workflow("beside", title="Test")

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        bench.cancel(run.id)
        return symbol.lower()

    bench = Bench(workflow)
    run = opened(bench)
    assert run_member(bench, run, "AAPL")
    after = bench.log.execution(run.id)
    assert (after.phase, member(bench, run, "AAPL").phase) == (Phase.CANCELLED, Phase.SUCCEEDED)
    assert not run_member(bench, run, "IBM")


def test_a_member_that_is_interrupted_closes() -> None:
    """The run is being cancelled, and the member has finished nothing."""
    workflow = Workflow("beside", title="Test")

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        bench.cancel(run.id)
        bench.interruptions.interrupt(run.members["look", symbol].id, 1)
        raise AssertionError("the interrupt did not come")

    bench = Bench(workflow)
    run = opened(bench)
    assert run_member(bench, run, "AAPL")
    assert member(bench, run, "AAPL").phase is Phase.CANCELLED
    assert bench.log.execution(run.id).phase is Phase.CANCELLED


def test_an_interrupt_of_which_the_log_knows_no_reason_costs_one_try() -> None:
    """The step is called again at once."""
    workflow = Workflow("beside", title="Test")
    tries: list[str] = []

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        tries.append(symbol)
        if len(tries) == 1:
            raise Interrupted
        return symbol.lower()

    bench = Bench(workflow)
    run = opened(bench)
    assert run_member(bench, run, "AAPL")
    assert (tries, member(bench, run, "AAPL").phase) == (["AAPL", "AAPL"], Phase.SUCCEEDED)


def test_a_member_makes_way_and_starts_anew() -> None:
    """As the attempt that was asked to."""
    workflow = Workflow("beside", title="Test")

    def ask(branch: Branch) -> None:
        branch.request_preemption(stamp(), attempt=1, preempted_by="x")

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        if ctx.attempt == 1:
            name = run.members["look", symbol].id
            bench.change(
                run.id, lambda now: now.branches[name].request_preemption(stamp(), attempt=1, preempted_by="x")
            )
            bench.interruptions.interrupt(name, 1)
        return symbol.lower()

    bench = Bench(workflow)
    run = opened(bench)
    run_member(bench, run, "AAPL")
    assert member(bench, run, "AAPL").phase is Phase.PREEMPTED
    run_member(bench, run, "AAPL", attempt=2)
    assert (member(bench, run, "AAPL").phase, bench.log.execution(run.id).preemptions) == (Phase.SUCCEEDED, 1)


def test_a_busy_member_waits_for_its_retry_and_is_then_collected() -> None:
    """Its delays and its limit are the run's own; the others go on without it."""
    calls: Calls = []
    bench = Bench(beside(calls, IBM=TemporaryError("busy")))
    run = opened(bench)
    run_member(bench, run, "IBM")
    waiting = member(bench, run, "IBM")
    assert (waiting.phase, waiting.next_retry_at) == (Phase.RETRY_WAIT, bench.clock() + timedelta(seconds=1))
    bench.change(run.id, lambda now: now.members["look", "IBM"].fall_due(stamp()))
    run_member(bench, run, "IBM", attempt=2)
    assert member(bench, run, "IBM").phase is Phase.FAILED
    for symbol in ("AAPL", "MSFT"):
        run_member(bench, run, symbol)
    done = bench.run(run.id, attempt=2)
    assert (bench.result(done)["output"], [e["symbol"] for e in bench.result(done)["errors"]]) == ("aapl+msft", ["IBM"])


def test_a_member_that_fails_for_good_ends_its_run_and_the_others_never_start() -> None:
    """Unless its step collects errors."""
    workflow = Workflow("beside", title="Test")

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        raise PermanentError("never")

    bench = Bench(workflow)
    run = opened(bench)
    run_member(bench, run, "AAPL")
    after = bench.log.execution(run.id)
    assert after.failure is not None
    assert (after.phase, after.failure.step, after.failure.symbol) == (Phase.FAILED, "look", "AAPL")
    assert not run_member(bench, run, "IBM")


def test_a_member_may_not_trade() -> None:
    """Nobody could tell the order in which it would."""
    workflow = Workflow("beside", title="Test")

    @workflow.step(each="symbol", parallel=True, on_error="collect")
    def look(ctx: Context, symbol: str) -> Any:
        return ctx.broker.place(Decision(symbol=symbol, action="buy", quantity=1, reason="r"))

    bench = Bench(workflow)
    run = opened(bench)
    run_member(bench, run, "AAPL")
    failed = bench.log.execution(run.id).steps["look", "AAPL"].failure
    assert failed is not None
    assert 'effect="orders"' in failed.message
    assert bench.venue.received == []


def test_a_run_whose_definition_is_gone_fails_from_its_member() -> None:
    """With the sentence that says what to do."""
    bench = Bench(beside([]))
    run = opened(bench)
    bench.deploy()
    run_member(bench, run, "AAPL")
    failure = bench.log.execution(run.id).failure
    assert failure is not None
    assert failure.failure.type == "strategy_not_loaded"


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

    bench = Bench(workflow)
    run = opened(bench)
    for symbol in SYMBOLS:
        run_member(bench, run, symbol, step="load")
    run = bench.run(run.id, attempt=2)
    for symbol in ("AAPL", "MSFT"):
        run_member(bench, run, symbol, step="rate")
    run = bench.run(run.id, attempt=3)
    assert run_member(bench, run, None, step="daily")
    output = bench.log.execution(run.id).steps["daily", None].output
    assert output is not None
    assert output.inline == ["AAPL", "MSFT"]


@pytest.mark.parametrize("order", [("AAPL", "IBM"), ("IBM", "AAPL")])
def test_of_two_that_finish_at_once_one_closes_the_stage(order: tuple[str, str]) -> None:
    """Both find all ended; the run's own version decides between them."""
    bench = Bench(beside([]))
    run = opened(bench)
    run_member(bench, run, "MSFT")
    run_member(bench, run, order[0])
    late = bench.log.execution(run.id)
    run_member(bench, run, order[1])
    assert [e.TOPIC for e in bench.log.stream(run.id)].count("execution.stage_closed") == 1
    assert late.phase is Phase.AT_JOIN
    assert bench.log.execution(run.id).phase is Phase.JOINED


def test_progress_in_a_stage_grows_and_is_told_at_most_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a process that has not seen what others told."""
    now = iter(range(100))
    monkeypatch.setattr("services.executor.progress.time.monotonic", lambda: float(next(now)))
    bench = Bench(beside([]))
    run = opened(bench)
    before = len(bench.board.metas)
    for symbol in SYMBOLS:
        run_member(bench, run, symbol)
    told = bench.board.metas[before:]
    assert [meta.result["completed_symbols"] for meta in told if meta.attempt == 1] == [("AAPL", "IBM")]
    assert [meta.sequence for meta in bench.board.metas] == sorted(meta.sequence for meta in bench.board.metas)
