"""The collection of garbage in the object store: `python -m services.executor.garbage`, for `blotter objects collect`.

What a step returns or keeps is put into the object store first and recorded in the log afterwards; what a failed or
killed attempt has put, no event refers to. Such objects are removed when they are older than the grace.

The order is what makes it safe beside workers: first the list of objects, then the log up to its head, then the removal
of what was on the list, is old, and is referred to nowhere. An object that is put meanwhile is young again, and the
store keeps it; one that is put and recorded meanwhile is either not on the list or referred to.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec
import psycopg
import structlog
from eventsourcing.persistence import PersistenceError

from services.executor.settings import ExecutorSettings
from shared.domain.errors import BlotterError
from shared.log.clock import database_time
from shared.log.event_log import EventLog
from shared.logging import configure_logging
from shared.objects import ObjectStore, StoredObject, open_store
from shared.objects.store import URI_PREFIX

PAGE = 500
DRY_RUN = "--dry-run"
_REFERENCE = re.compile(re.escape(URI_PREFIX.encode()) + rb"([0-9a-f]{64})")

logger = structlog.get_logger()


class GarbageError(Exception):
    """Nothing was removed; the text says what to do."""


class Verdict(NamedTuple):
    """Objects by what is to become of them: how many stay, and why, and those that go."""

    referenced: int
    young: int
    garbage: tuple[StoredObject, ...]


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was found by a position of the log, and what was removed, or would be (`dry_run`).

    `kept_young` are those without a reference whose time has not come, or that were put again just now. `freed_bytes`
    include what dead writers had left half-written.
    """

    place: str
    position: int
    objects: int
    referenced: int
    kept_young: int
    deleted: int
    freed_bytes: int
    seconds: float
    dry_run: bool


def collect(references: AbstractSet[bytes], objects: Iterable[StoredObject], *, older_than: datetime) -> Verdict:
    """Return what is to become of `objects`; `references` are SHA-256 digests, of 32 bytes each."""
    referenced = young = 0
    garbage = []
    for each in objects:
        if bytes.fromhex(each.sha256) in references:
            referenced += 1
        elif each.modified_at > older_than:
            young += 1
        else:
            garbage.append(each)
    return Verdict(referenced, young, tuple(garbage))


def references_in(state: bytes) -> Iterator[bytes]:
    """Yield the digest of every object that an event refers to, from the event as the log stores it.

    It is looked for in the text: thus no field is forgotten, nor an event of a newer Blotter that this one cannot read,
    and JSON that only happens to name an object keeps it as well.
    """
    for found in _REFERENCE.finditer(state):
        yield bytes.fromhex(found[1].decode())


class Collection:
    """One collection; objects go that are older than `grace`."""

    def __init__(self, log: EventLog, store: ObjectStore, *, grace: timedelta, now: Callable[[], datetime]) -> None:
        self._log = log
        self._store = store
        self._grace = grace
        self._now = now

    def run(self, *, dry_run: bool = False) -> Collected:
        """List, read the log, remove. Raises GarbageError when the log seems to be another one than the store's."""
        started = time.monotonic()
        older_than = self._now() - self._grace
        objects = list(self._store.list())
        position, references = self._references()
        verdict = collect(references, objects, older_than=older_than)
        if not dry_run:
            self._check(verdict)
        gone = verdict.garbage if dry_run else self._remove(verdict.garbage, older_than)
        freed = sum(each.size for each in gone)
        collected = Collected(
            place=self._store.place,
            position=position,
            objects=len(objects),
            referenced=verdict.referenced,
            kept_young=verdict.young + len(verdict.garbage) - len(gone),
            deleted=len(gone),
            freed_bytes=freed if dry_run else freed + self._store.sweep(older_than=older_than),
            seconds=round(time.monotonic() - started, 3),
            dry_run=dry_run,
        )
        logger.info("objects.collected", **msgspec.to_builtins(collected))
        return collected

    def _references(self) -> tuple[int, set[bytes]]:
        """Return how far the log goes, and all that it refers to. It is read page by page, archives too, events of any
        topic."""
        position, found = 0, set[bytes]()
        while page := self._log.stored(position, limit=PAGE):
            for _, event in page:
                found.update(references_in(event.state))
            position = page[-1][0]
        return position, found

    def _check(self, verdict: Verdict) -> None:
        if verdict.garbage and not verdict.referenced:
            raise GarbageError(
                f"This log refers to none of the {len(verdict.garbage) + verdict.young} objects in "
                f"{self._store.place}: it seems to be another log's store, so nothing was removed. Check DATABASE_URL "
                "and BLOTTER_OBJECTS_URL; if they are right, remove the objects by hand."
            )

    def _remove(self, garbage: Sequence[StoredObject], older_than: datetime) -> tuple[StoredObject, ...]:
        return tuple(each for each in garbage if self._store.delete(each.sha256, unless_newer_than=older_than))


def main() -> None:
    """Collect, and print what was done as one line of JSON."""
    settings = ExecutorSettings()
    configure_logging(settings.log_format, settings.log_level)
    try:
        print(msgspec.json.encode(_collected(settings, dry_run=DRY_RUN in sys.argv[1:])).decode())
    except (GarbageError, BlotterError) as error:
        sys.exit(str(error))
    except psycopg.Error as error:
        sys.exit(f"The database does not answer ({_line(error)}): start it, or correct DATABASE_URL.")
    except PersistenceError as error:
        sys.exit(f"The log cannot be read ({_line(error)}). Check DATABASE_URL, and run `blotter migrate`.")
    except OSError as error:
        sys.exit(f"The object store cannot be used ({error}): check BLOTTER_OBJECTS_URL, BLOTTER_HOME and their owner.")


def _collected(settings: ExecutorSettings, *, dry_run: bool) -> Collected:
    store = open_store(settings)
    now = partial(database_time, settings.database_url)
    now()  # before the log is opened, which waits for a database that is away
    with EventLog(settings.database_url, open_store=partial(open_store, settings)) as log:
        return Collection(log, store, grace=settings.object_grace, now=now).run(dry_run=dry_run)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


if __name__ == "__main__":
    main()
