"""The runs that have not ended: which wait, in what order, and which may go to the workers now.

Pure: it is fed events and the time, and says what to write and what to send. Order, fairness, limits and depth are
decided here, on release, and cost the same however many wait (docs/rules.md, "Waiting").
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

from services.executor.limits import Limits
from services.executor.live_run import LiveRun, RunState
from services.executor.stages import Stages, members_of
from services.executor.waiting import Queues
from shared.domain import branch_events as branch
from shared.domain import execution_events as happened
from shared.domain.branch_events import BranchEvent
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from shared.domain.queue_events import QueueEvent, QueuePaused

LEAST_SHARE = 1
"""Branches of one run that may be at work at once, however few slots there are."""


class LiveRuns:
    """All live runs, the waiting ones in a queue a level, with at most `window` of a level in Redis.

    A run of a lower level that has waited for `aging` may be released in place of one of a higher level; what waits of
    the levels `paused` is not released at all. `slots` is how many attempts the workers take at once, as far as they
    were seen.
    """

    def __init__(
        self, runs: Iterable[LiveRun] = (), *, window: int, aging: timedelta, paused: Iterable[Priority] = ()
    ) -> None:
        self._window = window
        self.slots = 0
        self._runs: dict[UUID, LiveRun] = {}
        self._queues = Queues(age=aging, paused=paused)
        self._limits = Limits(self._share, self._queues.holds_back)
        self._stages = Stages()
        self._sent: dict[Priority, dict[UUID, LiveRun]] = {level: {} for level in Priority}
        self._waiting = dict.fromkeys(Priority, 0)
        self._waiting_under_way = dict.fromkeys(Priority, 0)
        self._at_work: dict[UUID, LiveRun] = {}
        self._due: list[tuple[datetime, UUID]] = []
        self._changed: set[UUID] = set()
        self._ended: set[UUID] = set()
        self._withdrawn: list[LiveRun] = []
        for run in sorted(runs, key=lambda run: run.since):
            self._runs[run.id] = run
            self._stages.add(run)
            self._place(run)

    def _place(self, run: LiveRun) -> None:
        if run.state in _HOLDING:
            self._limits.hold(run)
        elif run.is_parked and not self._limits.park(run):
            run.state = RunState.WAITING
        self._count(run, 1)
        self._stages.place(run)
        if run.is_sent:
            self._sent[run.sent_level or run.level][run.id] = run
        elif run.waits_here:
            self._queues[run.level].add(run)
        elif run.at_work:
            self._at_work[run.id] = run
        elif run.state is RunState.RETRYING and run.due_at is not None:
            heapq.heappush(self._due, (run.due_at, run.id))

    def _count(self, run: LiveRun, by: int) -> None:
        if run.state is RunState.WAITING:
            self._waiting[run.level] += by
            if run.is_under_way:
                self._waiting_under_way[run.level] += by

    def _leave(self, run: LiveRun) -> None:
        self._count(run, -1)
        if run.is_sent:
            del self._sent[run.sent_level or run.level][run.id]
        self._stages.leave(run)
        self._at_work.pop(run.id, None)

    def apply(self, position: int, event: Event) -> None:
        """Take in what happened at `position`."""
        if isinstance(event, happened.Submitted):
            self._add(_submitted(position, event))
            return
        if isinstance(event, QueueEvent):
            self._pause_or_resume(event)
            return
        run = self._runs.get(event.originator_id)
        if run is None:
            return
        match event:
            case (
                happened.AttemptStarted(attempt=attempt, worker=worker, at=at)
                | branch.BranchAttemptStarted(attempt=attempt, worker=worker, at=at)
            ):
                claimed = {"attempt": attempt, "worker": worker, "started_at": at, "sent_level": run.sent_level}
                self._move(run, position, RunState.RUNNING, **claimed)
            case happened.Released():
                self._wait(run, position, event.at, resumed=True)
            case happened.RetryScheduled(due_at=due_at) | branch.BranchRetryScheduled(due_at=due_at):
                self._move(run, position, RunState.RETRYING, due_at=due_at, **_given_back(run, event.at))
            case happened.RetryDue() | branch.BranchRetryDue():
                self._wait(run, position, event.at, resumed=run.is_branch)
            case happened.WorkerLost() | branch.BranchWorkerLost():
                self._wait(run, position, event.at, resumed=True)
            case happened.Preempted() | branch.BranchPreempted():
                self._wait(run, position, event.at, resumed=True, preemptions=run.preemptions + 1)
            case (
                happened.PreemptionRequested(preempted_by=task_id)
                | branch.BranchPreemptionRequested(preempted_by=task_id)
            ):
                self.ask(run, event.at, yields_to=task_id)
            case happened.StageOpened():
                self._open_stage(run, position, event)
            case happened.StageClosed():
                self._wait(run, position, event.at, resumed=True, joined=True)
            case happened.CancelRequested(force=force):
                self._cancel(run, position, event.at, forced=force)
            case happened.Cancelled() | happened.Succeeded() | happened.Failed():
                self._stop_branches(run, position, event.at)
                self._end(run)
            case branch.BranchCompleted() | branch.BranchFailed() | branch.BranchClosed():
                self._end(run)
        self._keep_time(event)

    def restart(self, position: int, at: datetime, execution: WorkflowExecution) -> None:
        """Take in that a run that had ended goes on: `execution` is the run as it was at `position`."""
        run = _submitted(position, execution.submitted)
        run.attempt, run.waiting_since, run.state = execution.attempts + 1, at, RunState.PARKED
        self._add(run)

    def _add(self, run: LiveRun) -> None:
        self._runs[run.id] = run
        self._stages.add(run)
        self._ended.discard(run.id)
        self._enter(run)

    def _open_stage(self, run: LiveRun, position: int, event: happened.StageOpened) -> None:
        self._move(run, position, RunState.JOINING, **_given_back(run, event.at))
        for member in members_of(run, position, event):
            self._add(member)

    def _cancel(self, run: LiveRun, position: int, at: datetime, *, forced: bool) -> None:
        if run.at_work:
            self._move(run, position, RunState.CANCELLING, **_kept(run), asked_at=at, forced=forced)
        self._stop_branches(run, position, at, forced=forced)

    def _stop_branches(self, run: LiveRun, position: int, at: datetime, *, forced: bool = False) -> None:
        """End the branches of a run that wait, and ask those at work to stop."""
        for member in self._stages.members(run.task_id):
            if not member.at_work:
                self._end(member)
            elif member.state is RunState.RUNNING or forced:
                self._move(member, position, RunState.CANCELLING, **_kept(member), asked_at=at, forced=forced)

    def _keep_time(self, event: Event) -> None:
        """Let the time of a joining run pass while at least one of its branches is at work."""
        main = self._runs.get(event.task_id) if isinstance(event, BranchEvent) else None
        if main is None or main.state is not RunState.JOINING:
            return
        busy = self._stages.are_at_work(main.task_id)
        if busy and main.started_at is None:
            main.started_at = event.at
        elif not busy and main.started_at is not None:
            main.spent_seconds, main.started_at = _given_back(main, event.at)["spent_seconds"], None
        else:
            return
        self._changed.add(main.id)

    def _wait(self, run: LiveRun, position: int, at: datetime, **changes: Any) -> None:
        attempt = run.attempt if run.state in _NOT_STARTED else run.attempt + 1
        self._move(
            run, position, RunState.PARKED, attempt=attempt, waiting_since=at, **(_given_back(run, at) | changes)
        )

    def _move(self, run: LiveRun, position: int, state: RunState, **changes: Any) -> None:
        self._leave(run)
        for name, value in {**_IDLE, "state": state, "since": position, **changes}.items():
            setattr(run, name, value)
        if state not in _HOLDING:
            self._limits.free(run)
        self._enter(run)

    def _enter(self, run: LiveRun) -> None:
        self._changed.add(run.id)
        self._place(run)

    def _end(self, run: LiveRun) -> None:
        del self._runs[run.id]
        if run.is_sent:
            self._withdrawn.append(run)
        self._leave(run)
        self._limits.free(run)
        self._stages.remove(run)
        run.state = RunState.ENDED
        self._changed.discard(run.id)
        self._ended.add(run.id)

    def _pause_or_resume(self, event: QueueEvent) -> None:
        if not isinstance(event, QueuePaused):
            self._queues.resume(event.level)
            self._limits.resume(event.level)
            return
        self._queues.pause(event.level)
        holders = (self._runs[stream] for stream in self._limits.holders())
        for run in {run.id: run for run in chain(self.sent(), holders)}.values():
            if run.state is RunState.WAITING and self._queues.holds_back(run):
                self._hold_back(run)

    def _hold_back(self, run: LiveRun) -> None:
        """Have a run wait here again that waits in Redis, or has places under limits; it keeps its turn."""
        self._leave(run)
        self._limits.free(run)
        run.resumed = run.resumed or run.is_sent
        run.state, run.sent_at, run.sent_level = RunState.PARKED, None, None
        self._enter(run)

    def ask(self, run: LiveRun, at: datetime, *, yields_to: str) -> None:
        """Note that a running run was asked to make way."""
        if run.state is RunState.RUNNING:
            run.yields_to, run.asked_at = yields_to, at
            self._changed.add(run.id)

    def admit(self) -> bool:
        """Let those parked runs wait in their levels that have a place now; tell whether there were any."""
        found = False
        for run in self._limits.admit():
            run.state, found = RunState.WAITING, True
            self._enter(run)
        return found

    def release(self, now: datetime) -> Iterator[LiveRun]:
        """Yield the runs to send now, highest level first, each marked as sent at `now`."""
        self.admit()
        for level, sent in self._sent.items():
            while len(sent) < self._window and (run := self._queues.next(level, now)):
                run.sent_at, run.sent_level = now, level
                sent[run.id] = run
                self._changed.add(run.id)
                yield run

    def _share(self, run: LiveRun) -> int:
        """Return how many branches of a run may be with the workers: half the slots while somebody else waits.

        Otherwise all slots, and as many again in Redis, so that no worker waits for the dispatcher.
        """
        others = sum(self.depths().values()) - self._stages.waiting(run.task_id)
        return max(self.slots // 2 if others else 2 * self.slots, LEAST_SHARE)

    @property
    def paused(self) -> frozenset[Priority]:
        """Return the levels that are paused."""
        return self._queues.paused

    def full_limits(self) -> list[str]:
        """Return the keys of limits for whose places runs wait."""
        return self._limits.full()

    def all(self) -> Iterable[LiveRun]:
        """Return every live run and branch."""
        return self._runs.values()

    def at_work(self) -> Iterable[LiveRun]:
        """Return the runs and branches that workers have."""
        return self._at_work.values()

    def sent(self) -> Iterator[LiveRun]:
        """Yield the waiting runs whose pointer is in Redis."""
        return chain.from_iterable(sent.values() for sent in self._sent.values())

    def depths(self) -> Mapping[Priority, int]:
        """Return how many runs of each level wait for a worker, in Redis or not; parked ones and paused ones do not."""
        paused = self.paused
        return self._waiting | {level: self._waiting_under_way[level] for level in paused} if paused else self._waiting

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
        """Return the streams whose retry is due, each once."""
        due = []
        while self._due and self._due[0][0] <= now:
            at, stream = heapq.heappop(self._due)
            run = self._runs.get(stream)
            if run is not None and run.state is RunState.RETRYING and run.due_at == at:
                due.append(stream)
        return due

    def next_due_at(self) -> datetime | None:
        """Return when the next retry is due, None when none waits."""
        return self._due[0][0] if self._due else None

    def get(self, stream: UUID) -> LiveRun | None:
        """Return a live run or branch by its stream."""
        return self._runs.get(stream)

    def joining(self) -> Iterator[LiveRun]:
        """Yield the runs that wait for their branches."""
        return (run for run in self._stages.joining() if run.id in self._runs)

    def is_joined(self, run: LiveRun) -> bool:
        """Tell whether a joining run has no branch left."""
        return not self._stages.members(run.task_id)

    def withdrawn(self) -> list[LiveRun]:
        """Return the runs that have ended since the last call while their pointer was in Redis."""
        withdrawn, self._withdrawn = self._withdrawn, []
        return withdrawn

    def changes(self) -> tuple[list[LiveRun], list[UUID]]:
        """Return the runs to write and the streams to delete since the last call."""
        changed = [self._runs[stream] for stream in self._changed]
        ended = list(self._ended)
        self._changed, self._ended = set(), set()
        return changed, ended


_NOT_STARTED = (RunState.HELD, RunState.WAITING, RunState.PARKED)
"""The states in which the next attempt has its number already."""

_HOLDING = (RunState.WAITING, RunState.RUNNING, RunState.CANCELLING)
"""The states in which a run holds its places under limits."""

_IDLE: Mapping[str, Any] = {
    "worker": None,
    "resumed": False,
    "due_at": None,
    "sent_at": None,
    "sent_level": None,
    "joined": False,
    "started_at": None,
    "asked_at": None,
    "yields_to": None,
    "forced": False,
}
"""What a move takes away from a run, unless it says otherwise."""


def _submitted(position: int, event: happened.Submitted) -> LiveRun:
    return LiveRun(
        id=event.originator_id,
        task_id=event.originator_id,
        strategy_id=event.strategy_id,
        symbols=event.symbols,
        user_id=event.user_id,
        level=event.priority,
        attempt=1,
        state=RunState.HELD if event.held else RunState.PARKED,
        since=position,
        timeout_seconds=event.timeout_seconds,
        waiting_since=event.at,
        trace=event.trace,
        limits=event.limits,
    )


def _given_back(run: LiveRun, at: datetime) -> dict[str, Any]:
    """Return the time that a run has used up when its attempt ends at `at`."""
    at_work = (at - run.started_at).total_seconds() if run.started_at is not None else 0.0
    return {"spent_seconds": run.spent_seconds + at_work}


def _kept(run: LiveRun) -> dict[str, Any]:
    return {"worker": run.worker, "started_at": run.started_at}
