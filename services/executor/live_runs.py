"""The runs that have not ended: which wait, in what order, and which may go to the workers now.

Pure: it is fed events and the time, and says what to write and what to send. Order, fairness and depth are decided
here, on release, and cost the same however many wait (docs/rules.md, "Waiting").
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.domain import execution_events as happened
from shared.domain.events import Event
from shared.domain.priority import Priority


class RunState(StrEnum):
    """What a run does, as far as the dispatcher cares; one that has ended is never stored."""

    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"
    ENDED = "ended"


class LiveRun(msgspec.Struct, kw_only=True):
    """A run that has not ended. `attempt` is the one that runs, or the next one while it waits."""

    task_id: UUID
    strategy_id: str
    symbols: tuple[str, ...]
    user_id: str
    level: Priority
    attempt: int
    state: RunState
    since: int
    timeout_seconds: float
    trace: str | None = None
    worker: str | None = None
    resumed: bool = False
    due_at: datetime | None = None
    sent_at: datetime | None = None


class Queue:
    """The waiting runs of one level: resumed ones, then first in, first out per user, and the users take turns."""

    def __init__(self) -> None:
        self._resumed: deque[LiveRun] = deque()
        self._users: OrderedDict[str, deque[LiveRun]] = OrderedDict()
        self.in_redis = 0

    def add(self, run: LiveRun) -> None:
        """Put a run at the end of its user's line, or of the line of those that go on where they were."""
        if run.resumed:
            self._resumed.append(run)
            return
        self._users.setdefault(run.user_id, deque()).append(run)

    def next(self) -> LiveRun | None:
        """Take the first run that goes on, else the first of the user whose turn it is; skip what waits no more."""
        while self._resumed:
            run = self._resumed.popleft()
            if run.state is RunState.WAITING and run.sent_at is None:
                return run
        while self._users:
            user, line = self._users.popitem(last=False)
            run = line.popleft()
            if line:
                self._users[user] = line
            if run.state is RunState.WAITING and run.sent_at is None:
                return run
        return None


class LiveRuns:
    """All live runs, the waiting ones in a queue a level, with at most `window` of a level in Redis."""

    def __init__(self, runs: Iterable[LiveRun] = (), *, window: int) -> None:
        self._window = window
        self._runs: dict[UUID, LiveRun] = {}
        self._queues = {level: Queue() for level in Priority}
        self._due: list[tuple[datetime, UUID]] = []
        self._changed: set[UUID] = set()
        self._ended: set[UUID] = set()
        for run in sorted(runs, key=lambda run: run.since):
            self._runs[run.task_id] = run
            self._place(run)

    def _place(self, run: LiveRun) -> None:
        if run.state is RunState.WAITING and run.sent_at is not None:
            self._queues[run.level].in_redis += 1
        elif run.state is RunState.WAITING:
            self._queues[run.level].add(run)
        elif run.state is RunState.RETRYING and run.due_at is not None:
            heapq.heappush(self._due, (run.due_at, run.task_id))

    def apply(self, position: int, event: Event) -> None:
        """Take in what happened at `position`."""
        match event:
            case happened.Submitted():
                run = LiveRun(
                    task_id=event.originator_id,
                    strategy_id=event.strategy_id,
                    symbols=event.symbols,
                    user_id=event.user_id,
                    level=event.priority,
                    attempt=1,
                    state=RunState.WAITING,
                    since=position,
                    timeout_seconds=event.timeout_seconds,
                    trace=event.trace,
                )
                self._runs[run.task_id] = run
                self._enter(run)
            case happened.AttemptStarted(attempt=attempt, worker=worker):
                self._change(event.originator_id, RunState.RUNNING, position, attempt=attempt, worker=worker)
            case happened.RetryScheduled(due_at=due_at):
                self._change(event.originator_id, RunState.RETRYING, position, due_at=due_at)
            case happened.RetryDue():
                known = self._runs.get(event.originator_id)
                if known is not None:
                    self._change(known.task_id, RunState.WAITING, position, attempt=known.attempt + 1)
            case happened.WorkerLost(attempt=attempt):
                self._change(event.originator_id, RunState.WAITING, position, attempt=attempt + 1, resumed=True)
            case happened.Cancelled() | happened.Succeeded() | happened.Failed():
                self._end(event.originator_id)

    def _change(
        self,
        task_id: UUID,
        state: RunState,
        position: int,
        *,
        attempt: int | None = None,
        worker: str | None = None,
        resumed: bool = False,
        due_at: datetime | None = None,
    ) -> None:
        run = self._runs.get(task_id)
        if run is None:
            return
        self._leave(run)
        run.state, run.since, run.due_at, run.sent_at = state, position, due_at, None
        run.attempt = attempt or run.attempt
        run.worker, run.resumed = worker, resumed
        self._enter(run)

    def _enter(self, run: LiveRun) -> None:
        self._changed.add(run.task_id)
        self._place(run)

    def _leave(self, run: LiveRun) -> None:
        if run.state is RunState.WAITING and run.sent_at is not None:
            self._queues[run.level].in_redis -= 1

    def _end(self, task_id: UUID) -> None:
        run = self._runs.pop(task_id, None)
        if run is None:
            return
        self._leave(run)
        run.state = RunState.ENDED
        self._changed.discard(task_id)
        self._ended.add(task_id)

    def release(self, now: datetime) -> Iterator[LiveRun]:
        """Yield the runs to send now, highest level first, each marked as sent at `now`."""
        for queue in self._queues.values():
            while queue.in_redis < self._window and (run := queue.next()):
                run.sent_at = now
                queue.in_redis += 1
                self._changed.add(run.task_id)
                yield run

    def all(self) -> Iterable[LiveRun]:
        """Return every live run."""
        return self._runs.values()

    def take_back(self, run: LiveRun) -> None:
        """Let a run whose pointer was lost be released again, before all that were not yet sent."""
        if run.state is RunState.WAITING and run.sent_at is not None:
            self._leave(run)
            run.sent_at, run.resumed = None, True
            self._enter(run)

    def due(self, now: datetime) -> list[UUID]:
        """Return the runs whose retry is due, each once."""
        due = []
        while self._due and self._due[0][0] <= now:
            at, task_id = heapq.heappop(self._due)
            run = self._runs.get(task_id)
            if run is not None and run.state is RunState.RETRYING and run.due_at == at:
                due.append(task_id)
        return due

    def next_due_at(self) -> datetime | None:
        """Return when the next retry is due, None when none waits."""
        return self._due[0][0] if self._due else None

    def changes(self) -> tuple[list[LiveRun], list[UUID]]:
        """Return the runs to write and those to delete since the last call."""
        changed = [self._runs[task_id] for task_id in self._changed]
        ended = list(self._ended)
        self._changed, self._ended = set(), set()
        return changed, ended
