"""A dispatcher with everything around it, in memory unless it is given more, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.executor.dispatching import Dispatcher, Store
from services.executor.live_run import LiveRun
from services.executor.policy import DispatchPolicy
from services.executor.reconciling import Sighting
from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from tests.builders import failure, stamp, submitted
from tests.memory_log import MemoryEventLog
from tests.memory_store import MemoryStore
from tests.unit.executor.bench import Clock

POLICY = DispatchPolicy(window=10, max_losses=2)


class RedisAway(Exception):
    """The queue does not answer."""


class ListSender:
    """Keeps what is sent; raises while it is away."""

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, int]] = []
        self.withdrawn: list[UUID] = []
        self.interrupted: list[tuple[UUID, int, timedelta | None]] = []
        self.away = False
        self.full: list[str] = []

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Keep pointers."""
        if self.away:
            raise RedisAway
        self.sent += [(run.id, run.attempt) for run in runs]

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Note whose pointers were taken back."""
        self.withdrawn += [run.id for run in runs]
        return len(runs)

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
