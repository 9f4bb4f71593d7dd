"""The end of the log, read in order on one connection that is told of each append."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from eventsourcing.persistence import StoredEvent

from shared.log.archived_events import Row
from shared.log.archives import BETWEEN, Archive, Archives, has_no_gap
from shared.log.recorder import CHANNEL, EVENTS_TABLE, SCHEMA
from shared.log.runs import Recorded

BATCH = 500
FOLLOW = (
    "SELECT notification_id, originator_id, originator_version, topic, CASE WHEN topic = ANY(%s) THEN state END "
    f"FROM {SCHEMA}.{EVENTS_TABLE} WHERE notification_id > %s ORDER BY notification_id LIMIT {BATCH}"
)
"""The next events, without the content of those that nobody asked for. They are read all the same, so that a follower
which wants few of them does not pass over the same ones again each time it wakes."""


class Tail:
    """What comes after `position`. The connection is to commit by itself, and to read by index (`BY_INDEX`).

    Where positions are missing, `archives` are asked for: at the end of the log that costs nothing.

    `caught_up` tells that the last `read` came to the end of the log.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        decode: Callable[[StoredEvent], Any],
        topics: Sequence[str],
        position: int,
        *,
        archives: Archives | None = None,
    ) -> None:
        self._connection = connection
        self._decode = decode
        self._topics = list(topics)
        self.position = position
        self._archives = archives
        self.caught_up = False
        connection.execute(f"LISTEN {CHANNEL}")

    def read(self) -> list[Recorded]:
        """Return the next events of the topics, none when there are none among the next ones of all."""
        rows = self._connection.execute(FOLLOW.encode(), (self._topics, self.position), prepare=True, binary=True)
        events = rows.fetchall()
        self.caught_up = len(events) < BATCH
        found = [(number, StoredEvent(*stored)) for number, *stored in events if stored[-1] is not None]
        reached = events[-1][0] if events else self.position
        if self._archives is not None and not has_no_gap(events, self.position):
            found, reached = self._with_archived(self._archives, found, reached)
        self.position = reached
        return [Recorded(number, self._decode(stored)) for number, stored in found]

    def _with_archived(self, archives: Archives, found: list[Row], until: int) -> tuple[list[Row], int]:
        """Return what archives have beside `found`, and how far that goes: a page, and the rest with the next one."""
        rows = self._connection.execute(BETWEEN.encode(), (self.position, until), prepare=True)
        within = [Archive(*row) for row in rows.fetchall()]
        if not within:
            return found, until
        merged = archives.merged(
            found, within, after=self.position, until=until, limit=BATCH, topics=frozenset(self._topics)
        )
        if len(merged) < BATCH or merged[-1][0] == until:
            return merged, until
        self.caught_up = False
        return merged, merged[-1][0]

    def wait(self, patience: timedelta) -> bool:
        """Wait until something is appended, and tell whether it was; return within `patience`."""
        seconds = max(patience, timedelta()).total_seconds()
        return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))
