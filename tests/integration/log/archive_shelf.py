"""A log some of whose runs are in archives, for tests of whoever reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from services.executor.archive_writing import ArchiveWriter
from services.executor.archiving import ArchivedRuns
from services.executor.retention_record import RetentionRecord
from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from shared.objects import LocalObjectStore
from tests.builders import NOW, complete_all, running, stamp, submitted

YEAR = timedelta(days=365)


class Shelf:
    """A log and a store for its archives."""

    def __init__(self, database_url: str, log: EventLog, store: LocalObjectStore) -> None:
        """Begin with both of them empty."""
        self.url = database_url
        self.log = log
        self.store = store

    def ended(self, day: float = 0) -> WorkflowExecution:
        """Record a run that began and ended some days after NOW."""
        run = submitted(at=stamp(day * 86_400))
        run.claim(stamp(day * 86_400 + 1), attempt=1, worker="w")
        complete_all(run, stamp(day * 86_400 + 2))
        self.log.save_execution(run)
        return run

    def kind(self, now: datetime = NOW + YEAR + timedelta(days=1)) -> ArchivedRuns:
        """The kind of clean-up, a year and a day after NOW unless said otherwise."""
        record = RetentionRecord(self.log, now=lambda: now)
        return ArchivedRuns(self.log, self.url, ArchiveWriter(self.url, self.store, record), record, keep=YEAR)

    def archive(self, *, dry_run: bool = False) -> dict[str, int]:
        """Archive what ended on NOW's day."""
        self.young()
        return self.kind().run(dry_run=dry_run)

    def young(self) -> None:
        """Record something that is not old: the log never ends with what is archived."""
        self.log.save_execution(running(at=stamp(400 * 86_400)))

    def rows(self) -> list[int]:
        """The positions that are in the table."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT notification_id FROM log.blotter_events ORDER BY notification_id")
            return [position for (position,) in found]


@contextmanager
def shelf(database_url: str, folder: Path) -> Iterator[Shelf]:
    """Open one."""
    store = LocalObjectStore(folder / "objects")
    with EventLog(database_url, open_store=partial(LocalObjectStore, folder / "objects")) as log:
        yield Shelf(database_url, log, store)
