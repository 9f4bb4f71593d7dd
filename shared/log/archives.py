"""Archives: streams of runs that ended long ago, moved out of the log's table into the object store.

The table is read first, and then the index of archives: what is moved meanwhile is found in both, and never in neither,
because the index has an archive before the table loses its first row. The same row, found twice, is the same.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from shared.domain.errors import Unavailable
from shared.domain.outputs import ObjectRef
from shared.log.archived_events import MEDIA_TYPE, ArchivedEvents, Row, decode
from shared.objects import ObjectStore
from shared.objects.store import URI_PREFIX

CAPACITY = 4
"""Archives kept decoded: some 10 MB each."""

_COLUMNS = "archive_id, sha256, size, first_position, last_position"
BETWEEN = (
    f"SELECT {_COLUMNS} FROM log.archives WHERE last_position > %s AND first_position <= %s ORDER BY first_position"
)
"""Archives that may have events after a position, up to another one."""
OF_STREAMS = (
    f"SELECT DISTINCT {_COLUMNS} FROM log.archived_streams JOIN log.archives USING (archive_id) "
    "WHERE stream_id = ANY(%s) ORDER BY first_position"
)
"""Archives that have some streams."""

CLOSED = "archived_streams"
"""The name of the constraint with which an append to an archived stream is refused."""

OpenStore = Callable[[], ObjectStore]


class Archive(NamedTuple):
    """One archive as the index has it: the object's hash and size in bytes, and where its events lie."""

    archive_id: int
    sha256: str
    size: int
    first_position: int
    last_position: int

    @property
    def ref(self) -> ObjectRef:
        """Return the object's reference."""
        return ObjectRef(uri=URI_PREFIX + self.sha256, media_type=MEDIA_TYPE, size=self.size, sha256=self.sha256)


class Archives:
    """Reads archives, and keeps the last ones; safe for threads. `open_store` is called when the first one is read."""

    def __init__(self, open_store: OpenStore | None = None) -> None:
        self._open_store = open_store
        self._store: ObjectStore | None = None
        self._known: OrderedDict[str, ArchivedEvents] = OrderedDict()
        self._lock = threading.Lock()

    def events(self, archive: Archive) -> ArchivedEvents:
        """Return what an archive holds.

        Raises Unavailable when this process knows no store, and what the store's `get` raises.
        """
        with self._lock:
            if archive.sha256 not in self._known:
                self._known[archive.sha256] = decode(self._opened().get(archive.ref))
                while len(self._known) > CAPACITY:
                    self._known.popitem(last=False)
            self._known.move_to_end(archive.sha256)
            return self._known[archive.sha256]

    def merged(
        self,
        live: Sequence[Row],
        archives: Sequence[Archive],
        *,
        after: int,
        until: int,
        limit: int,
        topics: Collection[str] | None = None,
    ) -> list[Row]:
        """Return up to `limit` rows after a position, up to another: those of the table and of archives, in order.

        `live` is what the table has there of these topics.
        """
        page = dict(live)
        for archive in archives:
            if archive.first_position > until:
                break
            page |= dict(self.events(archive).between(after, until, limit=limit, topics=topics))
            if len(page) >= limit:
                page = dict(sorted(page.items())[:limit])
                until = max(page)
        return sorted(page.items())

    def of(self, archives: Sequence[Archive], streams: Collection[UUID]) -> list[Row]:
        """Return all that archives hold of some streams, in the order of the log."""
        rows = [row for archive in archives for row in self.events(archive).of(streams)]
        return sorted(rows, key=lambda row: row[0])

    def newest(self, archives: Sequence[Archive], until: int, topics: Collection[str]) -> Row | None:
        """Return the last row up to a position of these topics, None when no archive has one."""
        found = [row for archive in archives if (row := self.events(archive).newest(until, topics)) is not None]
        return max(found, key=lambda row: row[0], default=None)

    def _opened(self) -> ObjectStore:
        if self._open_store is None:
            raise Unavailable("This part of the log is in an archive, and this process knows no object store.")
        if self._store is None:
            self._store = self._open_store()
        return self._store


def has_no_gap(page: Sequence[tuple[int, Any]], after: int) -> bool:
    """Tell whether a page of the table goes on right behind `after` and lacks no position: archives have none of it.

    Appends that were refused leave gaps too. Behind the last row of the table nothing was ever archived.
    """
    return not page or page[-1][0] - after == len(page)


def newest_each(rows: Sequence[Row], topics: Collection[str]) -> list[Row]:
    """Return of each stream in `rows` the newest event of these topics."""
    newest = {row[1].originator_id: row for row in rows if row[1].topic in topics}
    return list(newest.values())
