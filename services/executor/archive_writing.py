"""Moves streams from the log's table into an archive, so that a crash at any line loses nothing.

First the object, which is read again and compared; then, in one transaction, the index and the event that names it; and
only then the rows, some at a time. Whoever reads in between finds an event in both places, and takes it once. An object
that nobody came to name is garbage, and collected as such; rows that are still there are removed by the next clean-up.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Event
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from services.executor.retention_record import RetentionRecord
from shared.domain.retention_events import StreamsArchived
from shared.log.archived_events import MEDIA_TYPE, ArchivedEvents, Row, decode, encode
from shared.log.archives import Archive
from shared.log.mapper import MsgspecMapper
from shared.log.positions import ASYNCHRONOUS_COMMIT
from shared.log.recorder import APPEND, BY_INDEX, append_parameters
from shared.objects import ObjectStore

PRUNED_AT_ONCE = 500
"""Rows that are removed in one transaction, or as many as a run and its branches have."""

_GROWN = "SELECT DISTINCT originator_id FROM log.blotter_events WHERE notification_id > %s AND originator_id = ANY(%s)"
_ADD_ARCHIVE = (
    "INSERT INTO log.archives (sha256, size, first_position, last_position, events, archived_at) "
    "VALUES (%s, %s, %s, %s, %s, %s) RETURNING archive_id"
)
_ADD_STREAMS = "INSERT INTO log.archived_streams (stream_id, archive_id) SELECT unnest(%s::uuid[]), %s"
_UNPRUNED = (
    "SELECT archive_id, sha256, size, first_position, last_position FROM log.archives "
    "WHERE pruned_at IS NULL ORDER BY archive_id"
)
_PRUNE = (
    "DELETE FROM log.blotter_events WHERE notification_id = ANY(%s) "
    "RETURNING notification_id, originator_id, originator_version, topic, state"
)
_PRUNED = "UPDATE log.archives SET pruned_at = now() WHERE archive_id = %s"


class ArchiveError(Exception):
    """What is in the archive is not what is in the log: nothing more was removed, and somebody has to look."""


class Lot:
    """Runs that go into one archive: rows of each with its branches, and every stream that is closed with them."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        """The head of the log before the first of them was read."""
        self.streams: list[UUID] = []
        self.rows: list[Row] = []
        self.runs = 0

    def add(self, streams: Sequence[UUID], rows: Sequence[Row]) -> None:
        """Take in a run."""
        self.streams += streams
        self.rows += rows
        self.runs += 1


class ArchiveWriter:
    """Writes and prunes, on a connection of its own."""

    def __init__(self, database_url: str, store: ObjectStore, record: RetentionRecord) -> None:
        self._database_url = database_url
        self._store = store
        self._record = record
        self._encode = MsgspecMapper().to_stored_event

    def write(self, lot: Lot) -> bool:
        """Archive a lot, its rows staying where they are; tell whether it was, which it was not if a run went on.

        Raises ArchiveError when the store does not give back what was put.
        """
        events = ArchivedEvents(lot.rows)
        ref = self._store.put(encode(events), MEDIA_TYPE)
        if decode(self._store.get(ref)).rows != events.rows:
            raise ArchiveError(
                f"{ref.uri} is not what was put into it: look after the object store. Nothing was removed."
            )
        first, last = events.positions[0], events.positions[-1]
        named = self._record.make(
            StreamsArchived,
            archive=ref,
            first_position=first,
            last_position=last,
            events=len(lot.rows),
            streams=len(lot.streams),
            runs=lot.runs,
        )
        index = (ref.sha256, ref.size, first, last, len(lot.rows), named.at)
        with self._connected() as connection, connection.transaction() as transaction:
            row = connection.execute(_ADD_ARCHIVE, index).fetchone()
            connection.execute(_ADD_STREAMS, (lot.streams, row and row[0]))
            # From here on nobody appends until the commit.
            connection.execute(APPEND.encode(), append_parameters([self._encode(named)]))
            if connection.execute(_GROWN, (lot.seen, lot.streams)).fetchone():
                raise psycopg.Rollback(transaction)
            return True
        return False

    def prune(self) -> int:
        """Remove the rows of every archive that still has some in the table, and return how many those were.

        A crash of PostgreSQL may bring the last ones back, which are then removed again. Raises ArchiveError when they
        are not what the archive has.
        """
        removed = 0
        with self._connected(ASYNCHRONOUS_COMMIT) as connection:
            for row in connection.execute(_UNPRUNED).fetchall():
                archive = Archive(*row)
                events = decode(self._store.get(archive.ref))
                for lot in _parts(events):
                    began = time.monotonic()
                    removed += _prune(connection, events, lot)
                    Event().wait(time.monotonic() - began)  # leave the disk to others for as long
                connection.execute(_PRUNED, (archive.archive_id,))
            if removed:
                connection.execute("ANALYZE log.archived_streams")
        return removed

    def _connected(self, options: str = "") -> closing[psycopg.Connection]:
        return closing(psycopg.connect(self._database_url, autocommit=True, options=f"{BY_INDEX} {options}"))


def _parts(events: ArchivedEvents) -> Iterator[list[int]]:
    """Yield positions to be removed together: a stream is gone as a whole, or not at all."""
    streams: dict[UUID | str, list[int]] = {}
    for position, event in events.rows:
        streams.setdefault(event.originator_id, []).append(position)
    part: list[int] = []
    for positions in streams.values():
        part += positions
        if len(part) >= PRUNED_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _prune(connection: psycopg.Connection, events: ArchivedEvents, positions: list[int]) -> int:
    with connection.transaction():
        found = connection.execute(_PRUNE.encode(), (positions,), prepare=True, binary=True).fetchall()
        gone = sorted((number, StoredEvent(*stored)) for number, *stored in found)
        if gone != events.at([position for position, _ in gone]):
            raise ArchiveError(
                f"Events of the log from position {positions[0]} to {positions[-1]} are not what the archive has of "
                "them. Nothing was removed: compare them before anything else."
            )
    return len(gone)
