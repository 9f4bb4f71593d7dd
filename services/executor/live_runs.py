"""The runs that have not ended: which wait, in what order, and which may go to the workers now.

Pure: it is fed events and the time, and says what to write and what to send. Order, fairness and depth are decided
here, on release, and cost the same however many wait (docs/rules.md, "Waiting").
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

from services.executor.live_run import LiveRun, RunState
from services.executor.waiting import Queues
from shared.domain import execution_events as happened
from shared.domain.events import Event
from shared.domain.priority import Priority


class LiveRuns:
    """All live runs, the waiting ones in a queue a level, with at most `window` of a level in Redis.

    A run of a lower level that has waited for `aging` may be released in place of one of a higher level.
    """

    def __init__(self, runs: Iterable[LiveRun] = (), *, window: int, aging: timedelta) -> None:
        self._window = window
        self._runs: dict[UUID, LiveRun] = {}
        self._queues = Queues(age=aging)
        self._sent: dict[Priority, dict[UUID, LiveRun]] = {level: {} for level in Priority}
        self._waiting = dict.fromkeys(Priority, 0)
        self._at_work: dict[UUID, LiveRun] = {}
        self._due: list[tuple[datetime, UUID]] = []
        self._changed: set[UUID] = set()
        self._ended: set[UUID] = set()
        self._withdrawn: list[LiveRun] = []
        for run in sorted(runs, key=lambda run: run.since):
            self._runs[run.task_id] = run
            self._place(run)

    def _place(self, run: LiveRun) -> None:
        if run.state is RunState.WAITING:
            self._waiting[run.level] += 1
        if run.is_sent:
            self._sent[run.sent_level or run.level][run.task_id] = run
        elif run.is_held:
            self._queues[run.level].add(run)
        elif run.at_work:
            self._at_work[run.task_id] = run
        elif run.state is RunState.RETRYING and run.due_at is not None:
            heapq.heappush(self._due, (run.due_at, run.task_id))

    def _leave(self, run: LiveRun) -> None:
        if run.state is RunState.WAITING:
            self._waiting[run.level] -= 1
        if run.is_sent:
            del self._sent[run.sent_level or run.level][run.task_id]
        self._at_work.pop(run.task_id, None)

    def apply(self, position: int, event: Event) -> None:
        """Take in what happened at `position`."""
        if isinstance(event, happened.Submitted):
            self._submit(position, event)
            return
        run = self._runs.get(event.originator_id)
        if run is None:
            return
        match event:
            case happened.AttemptStarted(attempt=attempt, worker=worker, at=at):
                claimed = {"attempt": attempt, "worker": worker, "started_at": at, "sent_level": run.sent_level}
                self._move(run, position, RunState.RUNNING, **claimed)
            case happened.RetryScheduled(due_at=due_at):
                self._move(run, position, RunState.RETRYING, due_at=due_at, **_given_back(run, event.at))
            case happened.RetryDue():
                self._wait(run, position, event.at, resumed=False)
            case happened.WorkerLost():
                self._wait(run, position, event.at, resumed=True)
            case happened.Preempted():
                self._wait(run, position, event.at, resumed=True, preemptions=run.preemptions + 1)
            case happened.PreemptionRequested(preempted_by=task_id):
                self.ask(run, event.at, yields_to=task_id)
            case happened.CancelRequested() if run.at_work:
                self._move(run, position, RunState.CANCELLING, **_kept(run), asked_at=event.at)
            case happened.Cancelled() | happened.Succeeded() | happened.Failed():
                self._end(run)

    def _submit(self, position: int, event: happened.Submitted) -> None:
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
            waiting_since=event.at,
            trace=event.trace,
        )
        self._runs[run.task_id] = run
        self._enter(run)

    def _wait(self, run: LiveRun, position: int, at: datetime, **changes: Any) -> None:
        attempt = run.attempt + 1 if run.state is not RunState.WAITING else run.attempt
        self._move(
            run, position, RunState.WAITING, attempt=attempt, waiting_since=at, **(_given_back(run, at) | changes)
        )

    def _move(self, run: LiveRun, position: int, state: RunState, **changes: Any) -> None:
        self._leave(run)
        for name, value in {**_IDLE, "state": state, "since": position, **changes}.items():
            setattr(run, name, value)
        self._enter(run)

    def _enter(self, run: LiveRun) -> None:
        self._changed.add(run.task_id)
        self._place(run)

    def _end(self, run: LiveRun) -> None:
        del self._runs[run.task_id]
        if run.is_sent:
            self._withdrawn.append(run)
        self._leave(run)
        run.state = RunState.ENDED
        self._changed.discard(run.task_id)
        self._ended.add(run.task_id)

    def ask(self, run: LiveRun, at: datetime, *, yields_to: str) -> None:
        """Note that a running run was asked to make way."""
        if run.state is RunState.RUNNING:
            run.yields_to, run.asked_at = yields_to, at
            self._changed.add(run.task_id)

    def release(self, now: datetime) -> Iterator[LiveRun]:
        """Yield the runs to send now, highest level first, each marked as sent at `now`."""
        for level, sent in self._sent.items():
            while len(sent) < self._window and (run := self._queues.next(level, now)):
                run.sent_at, run.sent_level = now, level
                sent[run.task_id] = run
                self._changed.add(run.task_id)
                yield run

    def all(self) -> Iterable[LiveRun]:
        """Return every live run."""
        return self._runs.values()

    def at_work(self) -> Iterable[LiveRun]:
        """Return the runs that workers have."""
        return self._at_work.values()

    def sent(self) -> Iterator[LiveRun]:
        """Yield the waiting runs whose pointer is in Redis."""
        return chain.from_iterable(sent.values() for sent in self._sent.values())

    def depths(self) -> Mapping[Priority, int]:
        """Return how many runs of each level wait, in Redis or not."""
        return self._waiting

    def first(self, level: Priority, number: int) -> list[LiveRun]:
        """Return the first waiting runs of a level, about in the order in which they will run."""
        sent = sorted((run for run in self.sent() if run.level is level), key=lambda run: run.since)
        return list(islice(chain(sent, self._queues[level]), number))

    def take_back(self, run: LiveRun) -> None:
        """Let a run whose pointer was lost be released again, before all that were not yet sent."""
        if run.is_sent:
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

    def withdrawn(self) -> list[LiveRun]:
        """Return the runs that have ended since the last call while their pointer was in Redis."""
        withdrawn, self._withdrawn = self._withdrawn, []
        return withdrawn

    def changes(self) -> tuple[list[LiveRun], list[UUID]]:
        """Return the runs to write and those to delete since the last call."""
        changed = [self._runs[task_id] for task_id in self._changed]
        ended = list(self._ended)
        self._changed, self._ended = set(), set()
        return changed, ended


_IDLE: Mapping[str, Any] = {
    "worker": None,
    "resumed": False,
    "due_at": None,
    "sent_at": None,
    "sent_level": None,
    "started_at": None,
    "asked_at": None,
    "yields_to": None,
}
"""What a move takes away from a run, unless it says otherwise."""


def _given_back(run: LiveRun, at: datetime) -> dict[str, Any]:
    """Return the time that a run has used up when its attempt ends at `at`."""
    at_work = (at - run.started_at).total_seconds() if run.started_at is not None else 0.0
    return {"spent_seconds": run.spent_seconds + at_work}


def _kept(run: LiveRun) -> dict[str, Any]:
    return {"worker": run.worker, "started_at": run.started_at}
