"""Who lets a run go on when its members have ended: the last one, once; or the dispatcher, when it died before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from services.executor.dispatching import JOIN_GRACE
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.workflow import Context, Workflow
from tests.builders import stamp
from tests.unit.executor.bench import Bench, MeddlingLog, looking
from tests.unit.executor.desk import Desk

SYMBOLS = ("AAPL", "IBM", "MSFT")
CLOSED = "execution.stage_closed"


class Died(BaseException):
    """A worker's process is gone."""


def die() -> None:
    """Bring the process down."""
    raise Died


def beside() -> Workflow:
    """A step for each symbol side by side, and one that joins."""
    workflow = Workflow("beside", title="Test")

    @workflow.step(each="symbol", parallel=True)
    def look(ctx: Context, symbol: str) -> str:
        return symbol.lower()

    @workflow.step
    def join(ctx: Context, look: dict[str, str]) -> str:
        return "+".join(look.values())

    return workflow


def closings(bench: Bench, run: WorkflowExecution) -> int:
    """How often the stage was closed."""
    return [event.TOPIC for event in bench.log.stream(run.id)].count(CLOSED)


@pytest.mark.parametrize("order", list(permutations(SYMBOLS)))
def test_the_last_one_closes_the_stage(order: tuple[str, ...]) -> None:
    """Whichever it is; those before it leave the run where it is."""
    bench = Bench(beside())
    run = bench.opened(*SYMBOLS)
    for symbol in order[:-1]:
        bench.run_member(run, symbol)
        assert bench.log.execution(run.id).phase is Phase.AT_JOIN
    bench.run_member(run, order[-1])
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)
    assert bench.log.stream(run.id)[-1].actor.startswith("worker:")


def test_of_two_that_finish_at_once_one_closes_the_stage() -> None:
    """The other one has ended and closed it before this one has looked: it finds all ended, and the run gone on."""
    log = MeddlingLog()
    bench = Bench(beside(), log=log)
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    log.before_look = [lambda: bench.run_member(run, "MSFT", worker="other")]
    assert bench.run_member(run, "IBM")
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)
    assert bench.result(bench.run(run.id, attempt=2))["output"] == "aapl+ibm+msft"


def test_of_two_that_find_all_ended_at_once_one_closes_the_stage() -> None:
    """Both have decided it; the run's own version lets one of the two appends through."""
    log = MeddlingLog()
    bench = Bench(beside(), log=log)
    run = bench.opened(*SYMBOLS)
    for symbol in ("AAPL", "MSFT"):
        bench.run_member(run, symbol)
    log.before_append[CLOSED] = lambda: bench.change(run.id, lambda now: now.settle_stage(stamp()))
    assert bench.run_member(run, "IBM")
    assert log.before_append == {}
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)


def test_a_member_that_is_still_to_end_keeps_the_stage_open() -> None:
    """It was claimed just before the other one looked."""
    log = MeddlingLog()
    bench = Bench(beside(), log=log)
    run = bench.opened("AAPL", "IBM")
    log.before_look = [lambda: bench.change_member(run, "IBM", lambda b: b.claim(stamp(), attempt=1, worker="w"))]
    bench.run_member(run, "AAPL")
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.AT_JOIN, 0)


def test_an_order_that_moves_while_the_stage_is_closed_does_not_keep_it_open() -> None:
    """The run's stream has moved on and it waits all the same: the closing is decided again."""
    log = MeddlingLog()
    bench = Bench(looking(lambda ctx, symbol: symbol, trades=True), log=log)
    bench.venue.fills = False
    run = bench.opened("AAPL")
    log.before_append[CLOSED] = lambda: bench.fill_order(run.id)
    bench.run_member(run, "AAPL")
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)
    assert bench.topics(run.id)[-2:] == ["order_updated", "stage_closed"]


def test_a_run_that_is_cancelled_while_its_stage_is_closed_is_cancelled_by_the_last_member() -> None:
    """Nobody is at work any more, so that the one who asks ends it; the last member finds it over."""
    log = MeddlingLog()
    bench = Bench(beside(), log=log)
    run = bench.opened("AAPL")
    log.before_append[CLOSED] = lambda: bench.cancel(run.id)
    bench.run_member(run, "AAPL")
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.CANCELLED, 0)


def test_many_that_finish_at_once_close_the_stage_once() -> None:
    """Eight workers for eight members, in threads."""
    symbols = [f"S{number}" for number in range(8)]
    bench = Bench(beside())
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            run = bench.opened(*symbols)
            assert all(pool.map(lambda symbol: bench.run_member(run, symbol), symbols))  # noqa: B023
            assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)


@pytest.mark.parametrize("where", ["before it looks", "before it appends"])
def test_a_worker_that_dies_before_it_closes_the_stage_leaves_it_to_the_dispatcher(where: str) -> None:
    """After a grace, in which any other worker would have done it; then the run goes on at the head of its level."""
    log = MeddlingLog()
    bench = Bench(beside(), log=log)
    desk = Desk(log)
    run = bench.opened("AAPL")
    if where == "before it looks":
        log.before_look = [die]
    else:
        log.before_append[CLOSED] = die
    with pytest.raises(Died):
        bench.run_member(run, "AAPL")
    assert bench.log.execution(run.id).phase is Phase.AT_JOIN

    desk.turn()
    assert closings(bench, run) == 0
    desk.clock.forward(seconds=JOIN_GRACE.total_seconds())
    for _ in range(3):
        desk.clock.forward(seconds=0.25)
        desk.turn()
    assert (bench.log.execution(run.id).phase, closings(bench, run)) == (Phase.JOINED, 1)
    assert bench.log.stream(run.id)[-1].actor == "executor.dispatcher"
    assert desk.sender.sent[-1] == (run.id, 2)
