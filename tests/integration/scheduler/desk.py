"""Beats without their process: on a real log, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from services.scheduler.scheduling import Scheduling
from services.scheduler.snapshots import SnapshotStore
from shared.domain.catalogue import StrategyDescription
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.deciding import metadata
from shared.domain.execution import WorkflowExecution
from shared.domain.schedule import Schedule
from shared.domain.schedule_state import ScheduleState
from shared.domain.timing import When
from shared.log.event_log import EventLog
from shared.log.recorder import BY_INDEX
from shared.settings import sqlalchemy_url
from tests.builders import NOW, PLAN, WORKER, complete_all, failure, stamp
from tests.schedule_builders import schedule
from tests.timetables import each_interval

AT_ONCE = timedelta()


def strategy(strategy_id: str = "sma-crossover") -> StrategyDescription:
    """A strategy of the builders' plan."""
    return StrategyDescription(
        strategy_id=strategy_id,
        title="Crossover",
        description="",
        steps=PLAN,
        parameters_schema={},
        parameters_default={},
        definition_hash="0" * 64,
    )


def publish(log: EventLog, *strategy_ids: str) -> None:
    """Publish a catalogue of these strategies, in place of what was published before."""
    newest = log.latest(CATALOGUE_ID)
    version = newest.originator_version + 1 if newest else 1
    fields = metadata(stamp()) | {"strategies": tuple(map(strategy, strategy_ids))}
    log.append([CataloguePublished(originator_id=CATALOGUE_ID, originator_version=version, **fields)])


class Desk:
    """A log with a catalogue, the hour, and as many beats as a test wants."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.log = EventLog(database_url)
        self.now = NOW
        self.publish("sma-crossover")
        self._beats: list[Scheduling] = []
        self._logs: list[EventLog] = []

    def publish(self, *strategy_ids: str) -> None:
        """Publish a catalogue of these strategies."""
        publish(self.log, *strategy_ids)

    def beat(self) -> Scheduling:
        """Start another beat."""
        log = EventLog(self.url)
        beat = Scheduling(
            log,
            SnapshotStore(sa.create_engine(sqlalchemy_url(self.url), poolclass=sa.NullPool)),
            connect=partial(psycopg.connect, self.url, autocommit=True, options=BY_INDEX),
            times_of=each_interval,
            result_ttl_seconds=86_400.0,
            now=lambda: self.now,
        )
        self._beats.append(beat)
        self._logs.append(log)
        return beat

    def close(self) -> None:
        """Close every connection."""
        for beat in self._beats:
            beat.close()
        for log in (*self._logs, self.log):
            log.close()

    def create(self, *, every: float = 60.0, **changes: Any) -> Schedule:
        """Write a schedule, at NOW."""
        of = schedule(when=When(every_seconds=every), **changes)
        self.log.append(of.collect_events())
        return of

    def save(self, of: Schedule) -> None:
        """Append what was decided on a schedule."""
        self.log.append(of.collect_events())

    def schedule(self, of: Schedule) -> Schedule:
        """Read a schedule from the log."""
        return self.log.schedule(of.id)

    def at(self, seconds: float) -> None:
        """Let it be so many seconds after NOW."""
        self.now = NOW + timedelta(seconds=seconds)

    def events(self, of: Schedule) -> list[str]:
        """Everything that has happened to a schedule, by name."""
        return [event.TOPIC.removeprefix("schedule.") for event in self.log.stream(of.id)]

    def runs(self, of: Schedule) -> list[WorkflowExecution]:
        """Every run of a schedule, in the order of their submission."""
        recorded = self.log.read(0, limit=100_000, topics=["execution.submitted"])
        mine = [each.event for each in recorded if getattr(each.event, "schedule_id", None) == str(of.id)]
        return [self.log.execution(event.originator_id) for event in mine]

    def finish(self, task_id: UUID, *, failed: bool = False) -> None:
        """Let a run come to its end."""
        run = self.log.execution(task_id)
        run.claim(stamp(), attempt=run.attempts + 1, worker=WORKER)
        if failed:
            fail(run)
        else:
            complete_all(run)
        self.log.save_execution(run)


def fail(run: WorkflowExecution) -> None:
    """End a run with an error."""
    run.fail(stamp(5), attempt=run.attempts, failure=failure(type="ValueError", message="no prices"))


def rounds(beats: Iterable[Scheduling], number: int = 1) -> None:
    """Let each beat do what is due, one after the other."""
    for _ in range(number):
        for beat in beats:
            beat.round(AT_ONCE, wait=lambda _: pytest.fail("the round has failed; see its log"))


def known(beat: Scheduling, of: Schedule) -> ScheduleState:
    """What a beat knows of a schedule."""
    entry = beat.entries.get(of.id)
    assert entry is not None
    return entry.state


def nominals(runs: Iterable[WorkflowExecution]) -> list[datetime | None]:
    """The times that runs were submitted for."""
    return [run.submitted.scheduled_at for run in runs]
