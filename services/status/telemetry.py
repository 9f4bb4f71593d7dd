"""What is kept of a task's trace and of its log lines, as it is told."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from shared.domain.errors import FieldError, InvalidInput
from shared.domain.views import TaskView
from shared.telemetry.records import LEVELS
from shared.telemetry.tables import lines, spans

MOST_SPANS = 2_000
"""Spans that are told of one trace, the earliest ones."""
ROWS_AT_ONCE = 100
ON_THEIR_WAY = timedelta(seconds=5)
"""How long spans and lines may take to the store."""

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,4})")

Json = dict[str, Any]


class Place(NamedTuple):
    """The place of a line: its row, and where it stands in it. Written `row.offset`."""

    row: int
    offset: int

    def __str__(self) -> str:
        """Return the cursor."""
        return f"{self.row}.{self.offset}"


class Row(NamedTuple):
    """A row of lines as it is stored."""

    id: int
    body: bytes


BEGINNING = Place(0, 0)


def trace_rows(connection: sa.Connection, trace_id: UUID, task_id: UUID) -> list[bytes]:
    """Return the rows that belong to a task in a trace, oldest first; more than enough for MOST_SPANS."""
    c = spans.c
    own = sa.or_(c.task_id == task_id, c.task_id.is_(None))
    found = sa.select(c.body).where(c.trace_id == trace_id, own).order_by(c.id).limit(MOST_SPANS + 1)
    return list(connection.scalars(found))


def trace_document(
    view: TaskView,
    rows: Iterable[bytes],
    *,
    retention: timedelta,
    now: datetime,
) -> Json:
    """Return a task's trace: its first MOST_SPANS spans by their start, or why there are none."""
    found: list[Json] = [span for row in rows for span in msgspec.json.decode(row)]
    found.sort(key=lambda span: (span["start_at"], -span["duration_seconds"]))
    return {
        "task_id": view.task_id,
        "trace_id": view.trace_id,
        "spans": found[:MOST_SPANS],
        "truncated": len(found) > MOST_SPANS,
        "reason": None if found else _why_empty(view, retention, now),
    }


def line_rows(connection: sa.Connection, task_id: UUID, *, since: int, lowest: int) -> list[Row]:
    """Return the next rows of a task from row `since` on that hold a line of at least the level `lowest`."""
    c = lines.c
    found = sa.select(c.id, c.body).where(c.task_id == task_id, c.id >= since, c.highest >= lowest)
    return [Row(*row) for row in connection.execute(found.order_by(c.id).limit(ROWS_AT_ONCE))]


def lines_after(
    connection: sa.Connection, task_id: UUID, *, after: Place, level: str | None, limit: int
) -> Sequence[Json]:
    """Return up to `limit + 1` lines of a task: one more tells that there is a next page."""
    lowest = LEVELS[level] if level is not None else 0
    found: list[Json] = []
    since = after.row
    while len(found) <= limit:
        rows = line_rows(connection, task_id, since=since, lowest=lowest)
        found += shown_lines(rows, after=after, lowest=lowest)
        if len(rows) < ROWS_AT_ONCE:
            break
        since = rows[-1].id + 1
    return found[: limit + 1]


def shown_lines(rows: Iterable[Row], *, after: Place, lowest: int) -> list[Json]:
    """Return the lines in rows that come after a place and are of at least a level, each with its cursor."""
    found = []
    for row in rows:
        for offset, line in enumerate(msgspec.json.decode(row.body), start=1):
            place = Place(row.id, offset)
            if place > after and LEVELS.get(line["level"], LEVELS["info"]) >= lowest:
                found.append({"cursor": str(place), **line})
    return found


def place_of(cursor: str | None) -> Place:
    """Return the place that a cursor names; raises InvalidInput for one that no answer has given out."""
    if cursor is None:
        return BEGINNING
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidInput(
            "The cursor is not one of a log line. Use next_cursor, or the cursor of a line.",
            [FieldError("after", "not a cursor of this list")],
        )
    return Place(int(found[1]), int(found[2]))


def _why_empty(view: TaskView, retention: timedelta, now: datetime) -> str:
    if view.trace_id is None:
        return "The task was submitted outside of any trace."
    if now - view.submitted_at > retention:
        return f"Traces are kept for {retention.total_seconds() / 86_400:g} days; this one is older."
    if now - view.submitted_at < ON_THEIR_WAY:
        return "Its spans are on their way: ask again in a second."
    return "Nothing is kept of it: its trace is not sampled, the store was full or away, or BLOTTER_TELEMETRY is off."
