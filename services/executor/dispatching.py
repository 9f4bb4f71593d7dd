"""The dispatcher: follows the log, keeps the live runs, sends the waiting ones to the workers in order, and has running
ones stop that are cancelled or are to make way.

It remembers what it has seen by its position, committed together with the live runs. It sends a run after the commit
that brought it, and writes down what it has sent with the next one; a crash in between repeats a pointer, which is
harmless, and loses none. Which levels are paused is committed with the position too; as long as one is, whatever lies
in Redis and is not to be there is taken out, whoever has put it there.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Protocol
from uuid import UUID

import structlog

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.pointers import Sender, message_id
from services.executor.policy import DispatchPolicy
from services.executor.preempting import Preemption, choose
from services.executor.pressing import Reminders, overdue
from services.executor.reconciler import INTERVAL as LOOK_EVERY
from services.executor.reconciler import Scout
from services.executor.reconciling import Lost, Sighting, Watch
from shared.domain import execution_events as happened
from shared.domain.branch import MOVES as BRANCH_MOVES
from shared.domain.branch import Branch
from shared.domain.errors import NotFound, Refused, VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from shared.domain.queue_events import QUEUE_TOPICS
from shared.log.event_log import EventLog
from shared.log.positions import unseen
from shared.log.runs import Recorded

DISPATCHER = "executor.dispatcher"
JOIN_GRACE = timedelta(milliseconds=200)
"""How long the worker of a stage's last branch has to say that the run goes on, before the dispatcher says it."""

logger = structlog.get_logger()


class Store(Protocol):
    """Where live runs outlast the process; `services.executor.store` keeps them in PostgreSQL."""

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return the position processed so far and the runs that were live then."""

    def paused(self) -> Collection[Priority]:
        """Return the levels that were paused then."""

    def commit(
        self,
        changed: Sequence[LiveRun],
        ended: Sequence[UUID],
        *,
        after: int,
        position: int,
        paused: Collection[Priority] | None = None,
    ) -> None:
        """Write what changed and move from `after` to `position`, all or nothing; raises AlreadyProcessed.

        Without `paused` the same levels stay paused.
        """


class Dispatcher:
    """The handler that a `Follower` feeds."""

    name = DISPATCHER
    topics: Sequence[str] = (
        happened.Submitted.TOPIC,
        happened.Released.TOPIC,
        happened.AttemptStarted.TOPIC,
        happened.RetryScheduled.TOPIC,
        happened.RetryDue.TOPIC,
        happened.WorkerLost.TOPIC,
        happened.PreemptionRequested.TOPIC,
        happened.Preempted.TOPIC,
        happened.StageOpened.TOPIC,
        happened.StageClosed.TOPIC,
        happened.CancelRequested.TOPIC,
        happened.Cancelled.TOPIC,
        happened.Succeeded.TOPIC,
        happened.Failed.TOPIC,
        happened.Restarted.TOPIC,
        *(event.TOPIC for event in BRANCH_MOVES),
        *QUEUE_TOPICS,
    )

    def __init__(
        self,
        log: EventLog,
        store: Store,
        sender: Sender,
        scout: Scout,
        policy: DispatchPolicy,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._store = store
        self._sender = sender
        self._scout = scout
        self._policy = policy
        self._now = now
        self._position = 0
        self._begin((), paused=())

    def _begin(self, runs: Sequence[LiveRun], *, paused: Collection[Priority]) -> None:
        self._runs = LiveRuns(runs, window=self._policy.window, aging=self._policy.aging, paused=paused)
        self._paused = frozenset(paused)
        self._is_clear = not paused
        self._watch = Watch()
        self._reminders = Reminders()
        self._sighting: Sighting | None = None
        self._spared: set[UUID] = set()
        self._joined: dict[UUID, datetime] = {}
        self._look_at = self._now()

    def start(self) -> int:
        """Load the live runs as they were at the last commit; unsent ones are sent at the next tick."""
        self._position, runs = self._store.load()
        self._begin(runs, paused=self._store.paused())
        return self._position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in a batch and commit."""
        new = unseen(batch, self._position)
        for recorded in new:
            take_in(self._runs, recorded, self._log)
        if new:
            self._commit(new[-1].position)

    def tick(self) -> timedelta | None:
        """Send, let due retries fall due, have runs stop, look after workers; return the time until more is due."""
        self._withdraw()
        self._keep_clear()
        if self._runs.admit():
            self._commit(self._position)  # before they are sent: whoever may be with a worker has its place for sure
        if not self._send():
            self._commit(self._position)
        now = self._now()
        for stream in self._runs.due(now):
            if (run := self._runs.get(stream)) is not None:
                self._decide(run, "retry_due", lambda line, stamp: line.fall_due(stamp))
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._reconcile(now)
            self._look_after_joins(now)
            if full := self._runs.full_limits():
                self._sender.tell_full(full)
        self._preempt(now)
        self._press(now)
        due_at = self._runs.next_due_at()
        return (self._look_at if due_at is None else min(due_at, self._look_at)) - self._now()

    def _reconcile(self, now: datetime) -> None:
        self._spared.clear()
        sighting = self._sighting = self._scout.look()
        for lost in overdue(self._runs.at_work(), self._reminders, grace=self._policy.cancel_grace, now=now):
            self._lose_worker(lost)
        if sighting is None:
            self._watch.blind()
            return
        if self._watch.is_new_generation(sighting):
            logger.warning("reconciler.new_generation", action="Redis lost what it held; all pointers are sent again")
            self._take_back(list(self._runs.sent()))
        if self._runs.paused:
            self._is_clear = self._is_clear and sighting.queued <= self._wanted()
        self._runs.slots = sum(worker.concurrency for worker in sighting.workers.values() if not worker.draining)
        self._take_back(self._watch.lost_pointers(sighting, self._runs.sent(), now))
        for lost in self._watch.lost_runs(sighting, self._runs.at_work(), now):
            self._lose_worker(lost)

    def _take_back(self, runs: Sequence[LiveRun]) -> None:
        for run in runs:
            logger.warning("reconciler.pointer_lost", task_id=str(run.task_id), attempt=run.attempt)
            self._runs.take_back(run)

    def _lose_worker(self, lost: Lost) -> None:
        run = lost.run
        logger.error("reconciler.worker_lost", task_id=str(run.task_id), attempt=run.attempt, reason=lost.reason)
        self._decide(
            run,
            "worker_lost",
            lambda line, stamp: line.lose_worker(
                stamp,
                attempt=run.attempt,
                worker=run.worker or "unknown",
                reason=lost.reason,
                max_losses=self._policy.max_losses,
            ),
        )

    def _look_after_joins(self, now: datetime) -> None:
        """Do what the last branch of a run does for it, should its worker have died before; end runs out of time."""
        joined = {run.id: run for run in self._runs.joining() if self._runs.is_joined(run)}
        self._joined = {stream: self._joined.get(stream, now) for stream in joined}
        for stream, since in self._joined.items():
            if now - since >= JOIN_GRACE:
                self._joined[stream] = now
                self._decide_run(joined[stream], "join", lambda execution, stamp: execution.settle_stage(stamp))
        for run in list(self._runs.joining()):
            if run.started_at is not None and now - run.started_at >= run.time_left:
                self._decide_run(run, "timeout", lambda execution, stamp: execution.time_out_in_stage(stamp))

    def _preempt(self, now: datetime) -> None:
        """Ask as many runs to make way as are needed; those in a step that must not be cut short are spared.

        Before anybody is asked the workers are looked at anew: one that has come since the last look may have a slot.
        """
        if self._choose(now):
            self._sighting = self._scout.look()
        while chosen := self._choose(now):
            for each in chosen:
                if not self._ask(each, now):
                    self._spared.add(each.victim.id)

    def _choose(self, now: datetime) -> Sequence[Preemption]:
        if self._sighting is None:
            return ()
        return choose(self._runs, self._sighting.workers, self._policy.preemption, now=now, spared=self._spared)

    def _ask(self, preemption: Preemption, now: datetime) -> bool:
        victim, waiting = preemption
        asked = self._decide(
            victim,
            "preemption",
            lambda line, stamp: line.request_preemption(
                stamp, attempt=victim.attempt, preempted_by=str(waiting.task_id)
            ),
        )
        if asked:
            # At once: until the event comes back, the run counts as one that makes way.
            self._runs.ask(victim, now, yields_to=str(waiting.task_id))
        return asked

    def _press(self, now: datetime) -> None:
        """Interrupt the attempts that are asked to stop, and those again that go on; not while Redis is away."""
        if self._sighting is None:
            return
        for run in self._reminders.due(self._runs.at_work(), now):
            self._sender.interrupt(run, grace=self._grace(run))

    def _grace(self, run: LiveRun) -> timedelta | None:
        """Return after what time the worker ends the child of a run that is to stop; None for never."""
        if run.state is not RunState.CANCELLING:
            return None
        return timedelta() if run.forced else self._policy.cancel_grace

    def _withdraw(self) -> None:
        if runs := self._runs.withdrawn():
            self._sender.withdraw(runs)

    def _keep_clear(self) -> None:
        """Take out of Redis what a pause holds back; a Redis that does not hear of it is looked at again."""
        if self._runs.paused and not self._is_clear and (taken := self._sender.clear(self._wanted())):
            logger.info("dispatcher.cleared", paused=sorted(self._runs.paused), pointers=taken)
        self._is_clear = True

    def _wanted(self) -> set[str]:
        return {message_id(run.id, run.attempt) for run in self._runs.sent()}

    def _commit(self, position: int) -> None:
        changed, ended = self._runs.changes()
        paused = self._runs.paused
        if changed or ended or position != self._position:
            news = None if paused == self._paused else paused
            self._store.commit(changed, ended, after=self._position, position=position, paused=news)
            self._is_clear = self._is_clear and news is None
            self._position, self._paused = position, paused

    def _send(self) -> int:
        """Send what is released, branches of one stage that come one after the other together."""
        sent = 0
        for _, runs in groupby(self._runs.release(self._now()), key=_stage_of):
            together = list(runs)
            self._sender.send(together)
            sent += len(together)
        return sent

    def _decide(self, run: LiveRun, what: str, command: Callable[[WorkflowExecution | Branch, Stamp], None]) -> bool:
        """Append what `command` decides on a run or a branch; False when it refuses."""
        opening, step, symbol = run.opening, run.step, run.symbol
        if step is None or opening is None:
            return self._decide_run(run, what, command)

        def decide(execution: WorkflowExecution, stamp: Stamp) -> None:
            command(execution.branch(opening, step, symbol), stamp)

        read = partial(self._log.member, opening=opening, step=step, symbol=symbol)
        return self._decide_run(run, what, decide, read=read)

    def _decide_run(
        self,
        run: LiveRun,
        what: str,
        command: Callable[[WorkflowExecution, Stamp], None],
        *,
        read: Callable[[UUID], WorkflowExecution] | None = None,
    ) -> bool:
        """Append what `command` decides on the run as it is, or False when it refuses: its events tell what to do then.

        What moves a run on need not be news here, an order that is filled, say: so the decision is made again.
        """
        while True:
            try:
                execution = (read or self._log.execution)(run.task_id)
                command(execution, Stamp(at=self._now(), actor=self.name, trace=execution.submitted.trace))
                self._log.save_execution(execution)
            except VersionConflict:
                continue
            except (Refused, NotFound) as refusal:
                logger.info("dispatcher.overtaken", what=what, task_id=str(run.task_id), reason=str(refusal))
                return False
            return True


def take_in(runs: LiveRuns, recorded: Recorded, log: EventLog) -> None:
    """Let `runs` take in an event; of a run that goes on after its end the log says what it was submitted as."""
    position, event = recorded
    if isinstance(event, happened.Restarted):
        runs.restart(position, event.at, log.execution(event.originator_id, until=position))
    else:
        runs.apply(position, event)


def _stage_of(run: LiveRun) -> UUID | tuple[UUID, int]:
    """Return what pointers are sent together by: a main line's by itself, those of one stage as a group."""
    return run.id if run.opening is None else (run.task_id, run.opening)
