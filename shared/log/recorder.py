"""Appending in one round trip, in an order that followers may trust."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.utils import retry

SCHEMA = "log"
EVENTS_TABLE = "blotter_events"
CHANNEL = EVENTS_TABLE
"""Name of the NOTIFY channel on which each append is announced."""

APPEND = f"SELECT {SCHEMA}.append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])"
"""Appends rows in order and returns their positions. The function (migration 0001) locks the table, so that the
order of positions is the order of commits: without it, followers pass over gaps that are filled later
(docs/rules.md, "Order": 47 to 78 of 11,000 events never arrived)."""

FIND = (
    f"SELECT notification_id, state FROM {SCHEMA}.{EVENTS_TABLE} WHERE originator_id = %s AND originator_version = %s"
)

READ = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE notification_id > %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s"
)


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

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append all or none and return their positions; raises IntegrityError when a version is taken.

        After a lost acknowledgement the retry finds its own rows: they bear the same append id, so they are
        equal to the byte, and the append has succeeded.
        """
        if not stored_events:
            return []
        try:
            positions: Sequence[int] = self._append(stored_events)
            return positions
        except IntegrityError:
            own = self._find_own(stored_events)
            if own is None:
                raise
            return own

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _append(self, stored_events: Sequence[StoredEvent]) -> list[int]:
        with self.datastore.get_connection() as connection:
            rows = connection.execute(APPEND, append_parameters(stored_events), prepare=True, binary=True)
            return [row["append_events"] for row in rows.fetchall()]

    def _find_own(self, stored_events: Sequence[StoredEvent]) -> list[int] | None:
        positions = []
        with self.datastore.get_connection() as connection:
            for event in stored_events:
                row = connection.execute(FIND, (event.originator_id, event.originator_version)).fetchone()
                if row is None or bytes(row["state"]) != event.state:
                    return None
                positions.append(row["notification_id"])
        return positions
