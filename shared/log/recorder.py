"""Appending in one round trip, in an order that followers may trust."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.utils import retry

from shared.log.archives import Archive
from shared.log.schedules import FORMAT, SNAPSHOT

SCHEMA = "log"
EVENTS_TABLE = "blotter_events"
CHANNEL = EVENTS_TABLE
"""Name of the NOTIFY channel on which each append is announced."""

APPEND = f"SELECT {SCHEMA}.append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])"
"""Appends rows in order and returns their positions. The function (migration 0024) takes a lock that all appends take,
so that the order of positions is the order of commits: without it, followers pass over gaps that are filled later
(docs/rules.md, "Order": 47 to 78 of 11,000 events never arrived)."""

APPEND_GUARDED = (
    f"SELECT {SCHEMA}.append_guarded_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[], %s::uuid, %s::bigint)"
)
"""The same, as long as another stream has not moved on from a version (migration 0009)."""

FIND = (
    f"SELECT notification_id, state FROM {SCHEMA}.{EVENTS_TABLE} WHERE originator_id = %s AND originator_version = %s"
)

READ = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE notification_id > %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s"
)


STREAMS = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE originator_id = ANY(%s) AND notification_id + 0 > %s AND notification_id + 0 <= %s "
    "ORDER BY notification_id + 0 LIMIT %s"
)
"""Events of some streams, in the order of the log. The sums keep PostgreSQL from walking the log in that order, and
looking at each event for whose it is."""

UNENDED = (
    "SELECT id FROM unnest(%s::uuid[]) AS wanted (id) WHERE ("
    f"SELECT true FROM {SCHEMA}.{EVENTS_TABLE} WHERE originator_id = id AND topic = ANY(%s) LIMIT 1) IS NULL LIMIT 1"
)
"""One of some streams that has no event of an ending topic yet: looked at one by one, up to the first."""

NEWEST_OF = (
    "SELECT newest.* FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL ("
    f"SELECT originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE originator_id = id AND topic = ANY(%s) ORDER BY originator_version DESC LIMIT 1) AS newest"
)
"""Of each of some streams the newest event of these topics."""

NO_LIMIT = 1 << 62

BY_INDEX = "-c enable_seqscan=off"
"""For connections that read the log by position: each of their questions has an index that answers it.

PostgreSQL does not know that as long as it has no statistics, and under constant appends it does not come to make them.
A plan that was made while the table was small, and is kept with the prepared statement, reads all of it each time.
"""


class Guard(NamedTuple):
    """A stream, and the version beyond which it must not have moved when something is appended."""

    originator_id: UUID
    version: int


def append_statement(stored_events: Sequence[StoredEvent], guard: Guard | None) -> tuple[str, tuple[Any, ...]]:
    """Return what appends `stored_events`, and its parameters."""
    columns = append_parameters(stored_events)
    return (APPEND, columns) if guard is None else (APPEND_GUARDED, (*columns, *guard))


def append_parameters(
    stored_events: Sequence[StoredEvent],
) -> tuple[list[UUID | str], list[int], list[str], list[bytes]]:
    """Return the four columns that `APPEND` takes."""
    return (
        [event.originator_id for event in stored_events],
        [event.originator_version for event in stored_events],
        [event.topic for event in stored_events],
        [event.state for event in stored_events],
    )


class OneTripRecorder(PostgresApplicationRecorder):
    """The library's recorder with lock, NOTIFY and INSERT in one prepared call."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = EVENTS_TABLE) -> None:
        super().__init__(datastore, events_table_name=events_table_name)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, guard: Guard | None = None, **kwargs: Any
    ) -> Sequence[int]:
        """Append all or none and return their positions; raises IntegrityError when a version is taken.

        With a `guard` also when that stream has moved on.

        After a lost acknowledgement the retry finds its own rows: they bear the same append id, so they are
        equal to the byte, and the append has succeeded.
        """
        if not stored_events:
            return []
        try:
            positions: Sequence[int] = self._append(stored_events, guard)
            return positions
        except IntegrityError:
            own = self._find_own(stored_events)
            if own is None:
                raise
            return own

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _append(self, stored_events: Sequence[StoredEvent], guard: Guard | None) -> list[int]:
        statement, parameters = append_statement(stored_events, guard)
        with self.datastore.get_connection() as connection:
            rows = connection.execute(statement, parameters, prepare=True, binary=True)
            return [position for row in rows.fetchall() for position in row.values()]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_streams(self, originator_ids: Sequence[UUID], *, until: int) -> list[tuple[int, StoredEvent]]:
        """Return the events of some streams up to a position, each with its own, in the order of the log."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(
                STREAMS, (list(originator_ids), 0, until, NO_LIMIT), prepare=True, binary=True
            ).fetchall()
        return [
            (
                row["notification_id"],
                StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"]),
            )
            for row in rows
        ]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_archives(self, statement: str, parameters: tuple[Any, ...]) -> list[Archive]:
        """Return what the index of archives answers to `BETWEEN` or `OF_STREAMS`."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(statement, parameters, prepare=True, binary=True).fetchall()
        return [Archive(**row) for row in rows]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def has_stream_without(self, originator_ids: Sequence[UUID], *, topics: Sequence[str]) -> bool:
        """Tell whether one of some streams has no event of these topics; they are looked at in order."""
        with self.datastore.get_connection() as connection:
            return (
                connection.execute(UNENDED, (list(originator_ids), list(topics)), prepare=True).fetchone() is not None
            )

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_snapshot(self, schedule_id: UUID) -> bytes | None:
        """Return the newest snapshot of a schedule as JSON, None when there is none."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(SNAPSHOT, (schedule_id, FORMAT), prepare=True).fetchone()
        return None if row is None else str(row["state"]).encode()

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_newest(self, originator_ids: Sequence[UUID], topics: Sequence[str]) -> list[StoredEvent]:
        """Return of each of some streams the newest event of these topics."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(NEWEST_OF, (list(originator_ids), list(topics)), prepare=True, binary=True)
            return [
                StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"])
                for row in rows.fetchall()
            ]

    def _find_own(self, stored_events: Sequence[StoredEvent]) -> list[int] | None:
        positions = []
        with self.datastore.get_connection() as connection:
            for event in stored_events:
                row = connection.execute(FIND, (event.originator_id, event.originator_version)).fetchone()
                if row is None or bytes(row["state"]) != event.state:
                    return None
                positions.append(row["notification_id"])
        return positions
