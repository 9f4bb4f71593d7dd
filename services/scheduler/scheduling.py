"""Follows the log and fires what is due: the part of beat that stands behind `services.scheduler.beat`.

Everything that is decided about a schedule is appended at the version that it was decided on, together with the runs it
calls for, whose ids derive from schedule and time. So it does not matter who decides, how often, or whether the one who
did has died since: a second decision is refused, and made again on what has happened.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from eventsourcing.persistence import PersistenceError

from services.scheduler.entries import ENDS, Entries, Entry
from services.scheduler.plans import Plan, Stop, decide, stops
from services.scheduler.slots import Slot
from services.scheduler.snapshots import SnapshotStore
from shared.domain import execution_events as run_events
from shared.domain.catalogue import StrategyDescription
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.errors import NotFound, Refused, VersionConflict
from shared.domain.events import EVENTS, Event, Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.firing import Firing, NominalTimes
from shared.domain.overlap import Hold
from shared.domain.phases import Phase
from shared.domain.schedule import Schedule
from shared.domain.schedule_state import ScheduleState
from shared.domain.submitting import plan as planned
from shared.domain.timing import Timing
from shared.log.event_log import EventLog
from shared.log.positions import AlreadyProcessed
from shared.log.tail import Tail
from shared.telemetry import current_traceparent, note_tasks, span

ACTOR = "scheduler.beat"
TOPICS = (
    *(topic for topic in EVENTS.topics if topic.startswith(f"{Schedule.TOPIC}.")),
    *(event.TOPIC for event in ENDS),
    run_events.Restarted.TOPIC,
    CataloguePublished.TOPIC,
)
TOGETHER = 50
"""How many schedules are decided in one append."""
KEEP_EVERY = timedelta(seconds=1)
KEEP_AFTER = 5_000
"""Positions after which a new one is kept although no schedule has changed, so that the next start is short."""
MOST_TRIES = 5
LEFT_ALONE = timedelta(seconds=5)
"""How long a schedule is not looked at that could not be decided about: one that is broken does not hold up others."""
FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=2)

logger = structlog.get_logger()


class _Decided(NamedTuple):
    """What is to be appended for one schedule, and what is left to do then."""

    entry: Entry
    plan: Plan
    events: Sequence[Event]


class Scheduling:
    """One round after the other, on one thread. `connect` opens a connection for `Tail`; `now` is the database's time.

    When PostgreSQL fails it starts again from the snapshots, after a delay that doubles up to two seconds.
    """

    def __init__(
        self,
        log: EventLog,
        snapshots: SnapshotStore,
        *,
        connect: Callable[[], psycopg.Connection],
        times_of: Callable[[Timing], NominalTimes],
        result_ttl_seconds: float,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._connect = connect
        self._times_of = times_of
        self._result_ttl_seconds = result_ttl_seconds
        self._now = now
        self._backoff = FIRST_BACKOFF
        self._connection: psycopg.Connection | None = None
        self._strategies: dict[str, StrategyDescription] = {}

    @property
    def leads(self) -> bool:
        """Tell whether this is the first of the beats that run."""
        return self._connection is not None and self._slot.leads

    @property
    def entries(self) -> Entries:
        """Return the schedules, as this beat knows them."""
        return self._entries

    def round(self, patience: timedelta, *, wait: Callable[[float], Any]) -> None:
        """Do what is due, then wait for the next due time or for news, `patience` at most.

        `wait` sleeps after a failure. Nothing is raised: what fails is logged, and done again.
        """
        try:
            if self._connection is None:
                self._start()
            self.take_in()
            self.fire_due()
            self._keep_up()
            self._backoff = FIRST_BACKOFF
            self._tail.wait(self.due_in(patience))
        except Exception:
            logger.exception("scheduler.failed", again_in=str(self._backoff))
            self.close()
            wait(min(self._backoff, patience).total_seconds())
            self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)

    def close(self) -> None:
        """Give the connection back; the next round starts anew."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _start(self) -> None:
        connection = self._connect()
        self._slot = Slot(connection)
        position, states = self._snapshots.load()
        self._entries = Entries(self._times_of)
        self._tail = Tail(connection, self._log.mapper.to_domain_event, TOPICS, position, archives=self._log.archives)
        now = self._now()
        self._keep_at = now
        runs = self._entries.load(states, now)
        for event in self._log.newest_of(runs, [event.TOPIC for event in (*ENDS, run_events.Restarted)]):
            if isinstance(event, ENDS):
                self._entries.note_end(event, now)
        if isinstance(published := self._log.latest(CATALOGUE_ID), CataloguePublished):
            self._publish(published)
        self._connection = connection
        logger.info("scheduler.active", schedules=len(self._entries), position=position, place=self._slot.number)

    def take_in(self) -> None:
        """Read the log to its end."""
        while True:
            for recorded in self._tail.read():
                self._apply(recorded.event)
            if self._tail.caught_up:
                return

    def fire_due(self) -> None:
        """Decide about all schedules that have something to do by now, and append it."""
        until = self._now() - self._slot.delay
        ready = iter(self._entries.ready(until))
        while together := list(islice(ready, TOGETHER)):
            self._decide(together, until)

    def due_in(self, patience: timedelta) -> timedelta:
        """Return the time until there is something to do, `patience` at most."""
        next_at = self._entries.next_at()
        return patience if next_at is None else min(patience, next_at + self._slot.delay - self._now())

    def _keep_up(self) -> None:
        """Now and then move up in the row of beats, and write snapshots as the first one."""
        now = self._now()
        if now >= self._keep_at:
            self._keep_at = now + KEEP_EVERY
            self._slot.move_up()
            if self._slot.leads:
                self._keep()

    def _apply(self, event: Event) -> None:
        match event:
            case CataloguePublished():
                self._publish(event)
            case run_events.Restarted(originator_id=task_id):
                submitted = self._log.stream(task_id, lte=1)[0]
                if isinstance(submitted, run_events.Submitted) and submitted.schedule_id is not None:
                    self._entries.note_return(UUID(submitted.schedule_id), task_id, self._now())
            case _:
                self._entries.apply(event, self._now())

    def _publish(self, published: CataloguePublished) -> None:
        self._strategies = {strategy.strategy_id: strategy for strategy in published.strategies}

    def _decide(self, entries: Sequence[Entry], until: datetime) -> None:
        """Decide about some schedules and append it all at once; when one of them has moved on, one by one."""
        decided = [decision for entry in entries if (decision := self._decided(entry, until))]
        if len(decided) > 1:
            try:
                self._log.append([event for decision in decided for event in decision.events])
            except VersionConflict:
                logger.info("scheduler.overtaken", schedules=len(decided))
            else:
                for decision in decided:
                    self._settle(decision)
                decided = []
        for decision in decided:
            try:
                self._log.append(decision.events)
            except VersionConflict:
                logger.info("scheduler.overtaken", schedule_id=str(decision.entry.state.id))
                self._entries.put(self._log.schedule(decision.entry.state.id), self._now())
            else:
                self._settle(decision)
        for entry in entries:
            for stop in list(stops(entry)):
                self._stop(entry, stop)

    def _decided(self, entry: Entry, until: datetime) -> _Decided | None:
        """Return what is to be appended for one schedule; a broken one is left alone for a while."""
        try:
            with span("schedule.decide"):  # the trace of the runs begins here
                stamp = Stamp(at=self._now(), actor=ACTOR, trace=current_traceparent())
                return self._plan(entry, stamp, until)
        except (psycopg.Error, PersistenceError):
            raise
        except Exception:
            logger.exception("schedule.failed", schedule_id=str(entry.state.id), again_in=str(LEFT_ALONE))
            self._entries.put(self._log.schedule(entry.state.id), self._now())
            self._entries.leave_alone(entry, until=self._now() + LEFT_ALONE)
            return None

    def _plan(self, entry: Entry, stamp: Stamp, until: datetime) -> _Decided | None:
        strategy = self._strategies.get(entry.state.definition.strategy_id)
        plan = decide(entry, stamp, until=until, has_strategy=strategy is not None)
        events = list(entry.schedule.collect_events())
        for firing in plan.firings:
            assert strategy is not None
            events += self._submission(entry.state, firing, strategy, stamp)
        note_tasks([firing.task_id for firing in plan.firings])
        for task_id in plan.releases:
            events += self._release(task_id, stamp)
        if not events:
            self._entries.await_next(entry)
            return None
        return _Decided(entry, plan, events)

    def _submission(
        self, state: ScheduleState, firing: Firing, strategy: StrategyDescription, stamp: Stamp
    ) -> Sequence[Event]:
        return WorkflowExecution.submit(
            firing.task_id,
            stamp,
            user_id=state.user_id,
            schedule_id=str(state.id),
            scheduled_at=firing.nominal_at,
            held=isinstance(firing.verdict, Hold),
            **planned(state.definition, strategy, result_ttl_seconds=self._result_ttl_seconds),
        ).collect_events()

    def _release(self, task_id: UUID, stamp: Stamp) -> Sequence[Event]:
        run = self._log.execution(task_id)
        if run.phase is Phase.HELD:
            run.release(stamp)
        return run.collect_events()

    def _settle(self, decision: _Decided) -> None:
        entry, plan, _ = decision
        now = self._now()
        self._entries.refresh(entry)
        if plan.again:
            self._entries.touch(entry, now)
        if plan.missed:
            logger.warning("schedule.missed", schedule_id=str(entry.state.id), times=plan.missed)
        for firing in plan.firings:
            late = (now - firing.nominal_at).total_seconds()
            logger.info(
                "schedule.fired", schedule_id=str(entry.state.id), task_id=str(firing.task_id), late_seconds=late
            )

    def _stop(self, entry: Entry, stop: Stop) -> None:
        """Cancel a run that is to stop, decided on what it is now; one that has ended is none of our business."""
        for _ in range(MOST_TRIES):
            try:
                run = self._log.execution(stop.task_id)
                stamp = Stamp(at=self._now(), actor=ACTOR, trace=run.submitted.trace)
                run.request_cancel(stamp, reason=stop.reason, force=stop.force)
                if events := run.collect_events():
                    self._log.append(events)
            except VersionConflict:
                continue
            except (Refused, NotFound) as error:
                logger.info("scheduler.not_stopped", task_id=str(stop.task_id), reason=str(error))
            entry.asked.add((stop.task_id, stop.force))
            return
        self._entries.touch(entry, self._now())

    def _keep(self) -> None:
        position = self._tail.position
        changed = self._entries.changes()
        if not changed and position - self._snapshots.position < KEEP_AFTER:
            return
        try:
            self._snapshots.keep(changed, position=position)
        except AlreadyProcessed:
            self._entries.keep_changes(changed)
