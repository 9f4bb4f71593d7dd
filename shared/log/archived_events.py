"""What an archive holds: events as the log had them, as one compressed Parquet file."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from io import BytesIO
from uuid import UUID

from eventsourcing.persistence import StoredEvent

MEDIA_TYPE = "application/vnd.apache.parquet"
LEVEL = 9
"""Of zstd: a fifth smaller than its default for events, at twice the time."""

Row = tuple[int, StoredEvent]
"""A position, and the event there as the log stores it."""


class ArchivedEvents:
    """Rows in the order of their positions, and the ones of each stream."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = sorted(rows, key=lambda row: row[0])
        self.positions = [position for position, _ in self.rows]
        self._streams: dict[UUID, list[Row]] = {}
        for row in self.rows:
            self._streams.setdefault(_stream(row), []).append(row)

    def between(self, after: int, until: int, *, limit: int, topics: Collection[str] | None = None) -> list[Row]:
        """Return up to `limit` rows after the position `after`, up to `until`, of these topics, or of all."""
        found: list[Row] = []
        for row in self.rows[bisect_right(self.positions, after) : bisect_right(self.positions, until)]:
            if topics is None or row[1].topic in topics:
                found.append(row)
                if len(found) == limit:
                    break
        return found

    def newest(self, until: int, topics: Collection[str]) -> Row | None:
        """Return the last row up to the position `until` of these topics, None when there is none."""
        for row in reversed(self.rows[: bisect_right(self.positions, until)]):
            if row[1].topic in topics:
                return row
        return None

    def of(self, streams: Collection[UUID]) -> list[Row]:
        """Return the rows of some streams, in the order of the log."""
        return sorted((row for each in streams for row in self._streams.get(each, ())), key=lambda row: row[0])

    def at(self, positions: Sequence[int]) -> list[Row]:
        """Return the rows at these positions, which must all be there."""
        return [self.rows[bisect_left(self.positions, position)] for position in positions]


def _stream(row: Row) -> UUID:
    stream = row[1].originator_id
    return stream if isinstance(stream, UUID) else UUID(stream)


def encode(events: ArchivedEvents) -> bytes:
    """Return the file."""
    import polars as pl

    stored = [event for _, event in events.rows]
    frame = pl.DataFrame(
        {
            "position": events.positions,
            "stream": [_stream(row).bytes for row in events.rows],
            "version": [event.originator_version for event in stored],
            "topic": [event.topic for event in stored],
            "state": [event.state for event in stored],
        },
        schema={
            "position": pl.Int64,
            "stream": pl.Binary,
            "version": pl.Int64,
            "topic": pl.String,
            "state": pl.Binary,
        },
    )
    file = BytesIO()
    frame.write_parquet(file, compression="zstd", compression_level=LEVEL)
    return file.getvalue()


def decode(data: bytes) -> ArchivedEvents:
    """Return what `encode` was given."""
    # Only who reads an archive pays for the import.
    import polars as pl

    return ArchivedEvents(
        (position, StoredEvent(UUID(bytes=stream), version, topic, state))
        for position, stream, version, topic, state in pl.read_parquet(BytesIO(data)).iter_rows()
    )
