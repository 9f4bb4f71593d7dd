"""A dispatcher with everything around it, in memory unless it is given more, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.executor.dispatching import Dispatcher, Store
from services.executor.live_run import LiveRun
from services.executor.policy import DispatchPolicy
from services.executor.reconciler import INTERVAL as LOOK_EVERY
from services.executor.reconciling import Sighting
from shared.domain.branch import Branch
from shared.domain.execution import WorkflowExecution
from shared.heartbeats import ActiveRun
from shared.log.event_log import EventLog
from tests.builders import at_join, claimed, failure, stamp, submitted
from tests.memory_log import MemoryEventLog
from tests.memory_store import MemoryStore
from tests.unit.executor.bench import Clock
from tests.unit.executor.live_runs import SYMBOLS, WORKER, worker

POLICY = DispatchPolicy(window=10, max_losses=2)


class RedisAway(Exception):
    """The queue does not answer."""


class ListSender:
    """Keeps what is sent, all in one and by call; raises while it is away."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[UUID, int]]] = []
        self.sent: list[tuple[UUID, int]] = []
        self.withdrawn: list[UUID] = []
        self.interrupted: list[tuple[UUID, int, timedelta | None]] = []
        self.cleared: list[set[str]] = []
        self.away = False
        self.full: list[str] = []

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Keep pointers."""
        if self.away:
            raise RedisAway
        self.calls.append([(run.id, run.attempt) for run in runs])
        self.sent += self.calls[-1]

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Note whose pointers were taken back."""
        self.withdrawn += [run.id for run in runs]
        return len(runs)

    def clear(self, wanted: Collection[str]) -> int:
        """Note which pointers were left where they were."""
        self.cleared.append(set(wanted))
        return 0

    def interrupt(self, run: LiveRun, *, grace: timedelta | None) -> None:
        """Note who was interrupted, and the grace."""
        self.interrupted.append((run.id, run.attempt, grace))

    def tell_full(self, limits: Sequence[str]) -> None:
        """Keep what was told."""
        self.full = list(limits)


class QuietScout:
    """Sees a Redis that is away, until it is given something to see."""

    def __init__(self) -> None:
        self.sighting: Sighting | None = None

    def look(self) -> Sighting | None:
        """Return what there is to see."""
        return self.sighting


class Desk:
    """A dispatcher with everything around it."""

    def __init__(self, log: EventLog | None = None, store: Store | None = None) -> None:
        self.log = log or MemoryEventLog()
        self.store = store or MemoryStore()
        self.sender = ListSender()
        self.scout = QuietScout()
        self.clock = Clock()
        self.restart()

    def restart(self) -> None:
        """Begin again with what was committed, as after a crash."""
        self.dispatcher = self.replica()
        self.position = self.dispatcher.start()

    def replica(self) -> Dispatcher:
        """Another dispatcher on the same log, store and queue, not started yet."""
        return Dispatcher(self.log, self.store, self.sender, self.scout, POLICY, now=self.clock)

    def turn(self) -> timedelta | None:
        """Follow the log to its end once."""
        batch = self.log.read(self.position, topics=self.dispatcher.topics)
        if batch:
            self.dispatcher.process(batch)
            self.position = batch[-1].position
        return self.dispatcher.tick()

    def submit(self) -> WorkflowExecution:
        """Put a run into the log."""
        execution = submitted()
        self.log.save_execution(execution)
        return execution

    def opened(self, **changes: Any) -> WorkflowExecution:
        """Put a run into the log that has come to its stage, with four members."""
        run = at_join(**({"symbols": SYMBOLS} | changes))
        self.log.save_execution(run)
        return run

    def member(self, run: WorkflowExecution, symbol: str) -> Branch:
        """Return a member of the last stage as the log has it."""
        return self.log.execution(run.id).members["analyse", symbol]

    def see(self, *active: Branch, concurrency: int = 4, dead: Sequence[Branch] = ()) -> None:
        """Have Redis show one worker that has these members in hand, some of them dead."""
        beat = msgspec.structs.replace(
            worker(concurrency=concurrency),
            at=self.clock(),
            active=tuple(_in_hand(branch) for branch in active),
            dead=tuple(_in_hand(branch) for branch in dead),
        )
        self.scout.sighting = Sighting(generation="one", workers={WORKER: beat}, queued=frozenset())

    def pass_by(self, seconds: float) -> None:
        """Let time pass, with a turn each time that the dispatcher looks around."""
        for _ in range(int(seconds / LOOK_EVERY.total_seconds())):
            self.clock.forward(seconds=LOOK_EVERY.total_seconds())
            self.turn()

    def fail_with_retry(self, execution: WorkflowExecution, *, due_in: float) -> None:
        """Claim the run and have it wait for a retry."""
        execution.claim(stamp(), attempt=1, worker="w")
        execution.schedule_retry(
            stamp(),
            attempt=1,
            step="load",
            symbol=None,
            failure=failure(),
            started_at=stamp().at,
            due_at=stamp(due_in).at,
        )
        self.log.save_execution(execution)


def taken(run: WorkflowExecution, symbol: str, second: float = 4) -> Branch:
    """Have the worker that is seen claim a member."""
    return claimed(run, symbol, stamp(second), worker=WORKER)


def pointers(run: WorkflowExecution, *symbols: str, attempt: int = 1) -> list[tuple[UUID, int]]:
    """Return what is sent for members."""
    return [(run.members["analyse", symbol].id, attempt) for symbol in symbols]


def _in_hand(branch: Branch) -> ActiveRun:
    return ActiveRun(task_id=branch.run.id, attempt=branch.attempts, branch_id=branch.id)
