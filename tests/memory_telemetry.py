"""A store of spans and log lines in memory; `tests/contract/test_status_telemetry.py` holds it to the real one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

from services.status.telemetry import BEGINNING, Json, Place, Row, shown_lines
from shared.telemetry.outbox import StoreAway
from shared.telemetry.records import LEVELS, LineRow, SpanRow


class MemoryStore:
    """Keeps what it is given; while it is `away` it says so, and while it is not `open` it hangs."""

    def __init__(self) -> None:
        self.spans: list[SpanRow] = []
        self.lines: list[LineRow] = []
        self.away = False
        self.broken = False
        self.open = threading.Event()
        self.open.set()
        self.closed = False

    def keep(self, spans: Sequence[SpanRow], lines: Sequence[LineRow]) -> None:
        """Keep rows, or raise what the test wants."""
        self.open.wait(10)
        if self.away:
            raise StoreAway("away")
        if self.broken:
            raise ValueError("broken")
        self.spans += spans
        self.lines += lines

    def rest(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def trace_rows(self, trace_id: UUID, task_id: UUID) -> list[bytes]:
        """Return the rows of a task in a trace."""
        return [row.body for row in self.spans if row.trace_id == trace_id and row.task_id in (task_id, None)]

    def lines_after(self, task_id: UUID, *, after: Place = BEGINNING, level: str | None = None) -> list[Json]:
        """Return the lines of a task after a place."""
        rows = [Row(number, row.body) for number, row in enumerate(self.lines, start=1) if row.task_id == task_id]
        return shown_lines(rows, after=after, lowest=LEVELS[level] if level else 0)
