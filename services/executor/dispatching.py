"""The dispatcher: follows the log, keeps the live runs, sends the waiting ones to the workers in order.

It remembers what it has seen by its position, committed together with the live runs. It sends a run after the commit
that brought it, and writes down what it has sent with the next one; a crash in between repeats a pointer, which is
harmless, and loses none.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog

from services.executor.live_runs import LiveRun, LiveRuns
from services.executor.pointers import Sender
from shared.domain import execution_events as happened
from shared.domain.errors import NotFound, Refused, VersionConflict
from shared.domain.events import Stamp
from shared.log.event_log import EventLog, Recorded

DISPATCHER = "executor.dispatcher"

logger = structlog.get_logger()


class Store(Protocol):
    """Where live runs outlast the process; `services.executor.store` keeps them in PostgreSQL."""

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return the position processed so far and the runs that were live then."""

    def commit(self, position: int | None, changed: Sequence[LiveRun], ended: Sequence[UUID]) -> None:
        """Write what changed and move to `position` unless it is None, all or nothing."""


class Dispatcher:
    """The handler that a `Follower` feeds."""

    name = DISPATCHER
    topics: Sequence[str] = (
        happened.Submitted.TOPIC,
        happened.AttemptStarted.TOPIC,
        happened.RetryScheduled.TOPIC,
        happened.RetryDue.TOPIC,
        happened.Cancelled.TOPIC,
        happened.Succeeded.TOPIC,
        happened.Failed.TOPIC,
    )

    def __init__(
        self, log: EventLog, store: Store, sender: Sender, *, window: int, now: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._store = store
        self._sender = sender
        self._window = window
        self._now = now
        self._runs = LiveRuns(window=window)

    def start(self) -> int:
        """Load the live runs as they were at the last commit; unsent ones are sent at the next tick."""
        position, runs = self._store.load()
        self._runs = LiveRuns(runs, window=self._window)
        return position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in a batch and commit."""
        for recorded in batch:
            self._runs.apply(recorded.position, recorded.event)
        self._commit(batch[-1].position)

    def tick(self) -> timedelta | None:
        """Send what may be sent, let due retries fall due, and return the time until the next one."""
        if not self._send():
            self._commit(None)
        now = self._now()
        for task_id in self._runs.due(now):
            self._fall_due(task_id, now)
        due_at = self._runs.next_due_at()
        return None if due_at is None else due_at - self._now()

    def _commit(self, position: int | None) -> None:
        changed, ended = self._runs.changes()
        if changed or ended or position is not None:
            self._store.commit(position, changed, ended)

    def _send(self) -> int:
        sent = 0
        for run in self._runs.release(self._now()):
            self._sender.send(run)
            sent += 1
        return sent

    def _fall_due(self, task_id: UUID, now: datetime) -> None:
        try:
            execution = self._log.execution(task_id)
            execution.fall_due(Stamp(at=now, actor=self.name, trace=execution.submitted.trace))
            self._log.save_execution(execution)
        except (VersionConflict, Refused, NotFound) as refusal:
            logger.info("dispatcher.retry_overtaken", task_id=str(task_id), reason=str(refusal))
