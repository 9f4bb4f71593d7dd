"""What the dispatcher keeps of stages: written down and brought back, taken in twice, and never more than there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from random import Random
from uuid import UUID

import msgspec

from services.executor.dispatching import Dispatcher
from services.executor.live_run import RunState
from shared.domain.catalogue import OnError
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from tests.builders import PARALLEL_PLAN, parallel_plan, stamp
from tests.histories import GO_ON, STAGE_ACTIONS, write_history
from tests.memory_log import MemoryEventLog
from tests.memory_store import MemoryStore
from tests.unit.executor.desk import Desk
from tests.unit.executor.live_runs import SYMBOLS, StageDesk


def stored(desk: StageDesk, store: MemoryStore) -> StageDesk:
    """Write everything down, and begin anew with it."""
    changed, ended = desk.runs.changes()
    store.commit(changed, ended, after=store.position, position=desk.position)
    _, runs = store.load()
    return StageDesk(runs, slots=desk.runs.slots)


def test_what_was_stored_comes_back() -> None:
    """Members at work, sent, parked and put off, and the run that joins them; nobody is released beyond the limits."""
    desk, store = StageDesk(), MemoryStore()
    run = desk.opened(max_parallel=2, limits={"venue": 2})
    desk.released()
    desk.claim(run, "AAPL", 3)
    desk.put_off(run, "AAPL", 4, due_in=3)
    desk.released()
    desk.claim(run, "GOOG", 5)
    before = {each.id: msgspec.structs.replace(each) for each in desk.runs.all()}
    again = stored(desk, store)

    assert {each.id: each for each in again.runs.all()} == before
    assert Counter(str(each.state) for each in before.values()) == {
        "joining": 1,
        "retrying": 1,
        "running": 1,
        "waiting": 1,
        "parked": 1,
    }
    assert (again.symbols(), again.runs.full_limits()) == ([], [])
    assert again.runs.depths() == desk.runs.depths()
    assert [each.symbol for each in again.runs.at_work()] == ["GOOG"]
    assert [each.id for each in again.runs.joining()] == [run.id]
    assert again.runs.due(stamp(7).at) == [run.members["look", "AAPL"].id]
    again.complete(run, "GOOG", 9)
    assert again.symbols() == ["MSFT"]
    assert again.row(run.id).spent_seconds == 1.0 + (4 - 3) + (9 - 5)
    assert not again.runs.is_joined(again.row(run.id))
    run.request_cancel(stamp(10))
    again.feed(run)
    assert list(again.runs.all()) == []


def test_a_restarted_dispatcher_parks_nobody_whom_it_had_let_in() -> None:
    """Before it has seen a worker it knows of no slots; who was released stays so, in Redis or not."""
    desk = StageDesk(slots=3)
    desk.opened(*(f"S{number}" for number in range(9)))
    desk.released()
    changed, _ = desk.runs.changes()
    again = StageDesk(changed, slots=0)
    assert Counter(each.state for each in again.runs.all()) == Counter(each.state for each in changed)
    assert again.symbols() == []


def histories() -> Iterator[tuple[MemoryEventLog, Random]]:
    """Logs of four runs with stages, to which something happens at random; every second one fails with its members."""
    likely = 6 * ("claim", "complete", "open", "start") + 2 * STAGE_ACTIONS + ("cancel", "lose", "settle", GO_ON)
    for seed in range(60):
        log, chance = MemoryEventLog(), Random(seed)
        moves = [(chance.randrange(4), chance.choice(likely)) for _ in range(chance.randint(60, 240))]
        plan = parallel_plan(on_error=OnError.FAIL) if seed % 2 else PARALLEL_PLAN
        write_history(log, moves, topics=Dispatcher.topics, steps=plan, symbols=SYMBOLS)
        yield log, chance


def followed(log: MemoryEventLog, sizes: Iterator[int], *, times: int = 1) -> Desk:
    """A dispatcher that has taken in the log in batches of these sizes, each so many times."""
    desk, position = Desk(log), 0
    while batch := log.read(position, limit=next(sizes), topics=Dispatcher.topics):
        for _ in range(times):
            desk.dispatcher.process(batch)
        desk.dispatcher.tick()
        position = batch[-1].position
    desk.dispatcher.tick()
    return desk


def test_batches_that_come_twice_change_nothing() -> None:
    """Whatever happens to runs and their branches: rows and pointers are those of batches that come once."""
    states: Counter[tuple[bool, RunState]] = Counter()
    for log, chance in histories():
        sizes = [chance.randint(1, 9) for _ in range(400)]
        once, twice = (followed(log, iter(sizes), times=times) for times in (1, 2))
        rows = {run.id: run for run in once.store.load()[1]}
        assert {run.id: run for run in twice.store.load()[1]} == rows
        assert twice.sender.sent == once.sender.sent
        states.update((run.is_branch, run.state) for run in rows.values())
    assert {(True, RunState.RUNNING), (True, RunState.RETRYING), (False, RunState.JOINING)} <= set(states)


def live(run: WorkflowExecution) -> dict[UUID, int]:
    """The streams of a run that have not ended, and the attempt of each that runs or comes next."""
    if run.phase.ended:
        main = {}
    else:
        # Where it waits at a join, the attempt that opened the stage; where it waits for a retry, the one that failed.
        over = run.phase.at_work or run.phase in (Phase.AT_JOIN, Phase.RETRY_WAIT)
        main = {run.id: run.attempts + (not over)}
    branches = {
        branch.id: branch.attempts + (not branch.at_work and branch.phase is not Phase.RETRY_WAIT)
        for branch in run.branches.values()
        if branch.at_work or (branch.is_open and not branch.phase.ended)
    }
    return main | branches


def test_the_live_runs_are_what_has_not_ended_in_the_log() -> None:
    """After any history: each run, and each branch that may yet start or is at work, also of a run that has ended."""
    stragglers = 0
    for log, _ in histories():
        rows = followed(log, repeat(7)).store.load()[1]
        runs = {run.id: run for run in (log.execution(each.event.originator_id) for each in log.read(0, limit=4))}
        expected = {stream: attempt for run in runs.values() for stream, attempt in live(run).items()}
        assert {row.id: row.attempt for row in rows} == expected
        working = [(row, runs[row.task_id].branches[row.id]) for row in rows if row.is_branch and row.at_work]
        assert all((row.state is RunState.RUNNING) == branch.is_open for row, branch in working)
        stragglers += sum(not branch.is_open for _, branch in working)
    assert stragglers > 10
