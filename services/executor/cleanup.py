"""The clean-up of every night, and `blotter cleanup`: `python -m services.executor.cleanup`.

Kind after kind, each by its own setting (docs/retention.md). What one of them cannot do is on record, and the others go
on. Its end is an event, with statistics.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec
import psycopg
import redis
import structlog
from eventsourcing.persistence import PersistenceError

from services.executor.archive_writing import ArchiveWriter
from services.executor.archiving import ArchivedRuns
from services.executor.expiry import ExpiredExecutions
from services.executor.garbage import DRY_RUN, Collection
from services.executor.result_sweep import ResultSweep
from services.executor.retention_record import RetentionRecord
from services.executor.settings import ExecutorSettings
from shared.domain.errors import BlotterError
from shared.domain.retention_events import CleanupFinished, KindReport
from shared.log.clock import database_time
from shared.log.event_log import EventLog
from shared.log.follower import lock_key
from shared.logging import configure_logging
from shared.objects import ObjectStore, open_store

NAME = "executor.cleanup"

logger = structlog.get_logger()


class CleanupError(Exception):
    """Nothing was done; the text says what to do."""


class Kind(Protocol):
    """One kind of things that do not stay for ever."""

    name: str

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Do what is due, a bounded part of it, and return how many by what became of them; what `dry_run` would do."""


class CleanedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up did, or would do (`dry_run`); `position` is that of its end in the log."""

    started_at: datetime
    seconds: float
    dry_run: bool
    position: int | None
    kinds: tuple[KindReport, ...]


class CollectedObjects:
    """The kind `objects`, by the collection of garbage."""

    name = "objects"

    def __init__(self, log: EventLog, store: ObjectStore, *, grace: timedelta, now: Callable[[], datetime]) -> None:
        self._collection = Collection(log, store, grace=grace, now=now)

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Remove old objects to which the log does not refer. Raises GarbageError."""
        done = self._collection.run(dry_run=dry_run)
        return {
            "found": done.objects,
            "referenced": done.referenced,
            "kept_young": done.kept_young,
            "deleted": done.deleted,
            "freed_bytes": done.freed_bytes,
        }


def kinds(settings: ExecutorSettings, log: EventLog, record: RetentionRecord) -> list[Kind]:
    """Return all kinds, in the order in which they are dealt with; another kind is added here."""
    store = open_store(settings)
    writer = ArchiveWriter(settings.database_url, store, record)
    return [
        ResultSweep(redis.Redis.from_url(settings.redis_url), ttl_seconds=settings.result_ttl_seconds),
        ExpiredExecutions(log, record, keep=settings.execution_retention),
        ArchivedRuns(log, settings.database_url, writer, record, keep=settings.log_retention),
        CollectedObjects(log, store, grace=settings.object_grace, now=record.now),
    ]


class Cleanup:
    """One clean-up at a time, whoever starts it."""

    def __init__(self, database_url: str, record: RetentionRecord, kinds: Sequence[Kind]) -> None:
        self._database_url = database_url
        self._record = record
        self._kinds = kinds

    def run(self, *, dry_run: bool = False) -> CleanedUp:
        """Deal with each kind, and say so in the log. Raises CleanupError when another one runs."""
        with self._alone():
            started_at, began = self._record.now(), time.monotonic()
            reports = tuple(_report(kind, dry_run=dry_run) for kind in self._kinds)
            position = None
            if not dry_run:
                position = self._record.add(CleanupFinished, started_at=started_at, kinds=reports)
            done = CleanedUp(
                started_at=started_at,
                seconds=round(time.monotonic() - began, 3),
                dry_run=dry_run,
                position=position,
                kinds=reports,
            )
        logger.info("cleanup.finished", **msgspec.to_builtins(done))
        return done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock, which goes with the connection when this process dies."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(NAME),)).fetchone()
            if not row or not row[0]:
                raise CleanupError("Another clean-up runs: wait for its end.")
            yield


def _report(kind: Kind, *, dry_run: bool) -> KindReport:
    began = time.monotonic()
    counts: dict[str, int] = {}
    said = None
    try:
        counts = kind.run(dry_run=dry_run)
    except Exception as error:
        logger.exception("cleanup.kind_failed", kind=kind.name)
        said = _line(error)
    return KindReport(kind=kind.name, counts=counts, seconds=round(time.monotonic() - began, 3), error=said)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def clean_up(settings: ExecutorSettings, log: EventLog, now: Callable[[], datetime], *, dry_run: bool) -> CleanedUp:
    """Do one clean-up by the settings. Raises CleanupError when another one runs."""
    record = RetentionRecord(log, now=now)
    return Cleanup(settings.database_url, record, kinds(settings, log, record)).run(dry_run=dry_run)


def main() -> None:
    """Clean up, and print what was done as one line of JSON; exit code 1 when a kind was not done."""
    settings = ExecutorSettings()
    configure_logging(settings.log_format, settings.log_level)
    now = partial(database_time, settings.database_url)
    try:
        now()  # before the log is opened, which waits for a database that is away
        with EventLog(settings.database_url, open_store=partial(open_store, settings)) as log:
            done = clean_up(settings, log, now, dry_run=DRY_RUN in sys.argv[1:])
        print(msgspec.json.encode(done).decode())
    except (CleanupError, BlotterError) as error:
        sys.exit(str(error))
    except psycopg.Error as error:
        sys.exit(f"The database does not answer ({_line(error)}): start it, or correct DATABASE_URL.")
    except PersistenceError as error:
        sys.exit(f"The log cannot be read ({_line(error)}). Check DATABASE_URL, and run `blotter migrate`.")


if __name__ == "__main__":
    main()
