"""From those who make spans and log lines to the store: by way of memory and one thread, never waiting for either."""

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

import structlog
from opentelemetry.sdk.trace import ReadableSpan

from shared.telemetry.records import Line, LineRow, Mask, SpanRow, line_rows, span_rows

BETWEEN_FLUSHES = timedelta(milliseconds=500)
LONGEST_BACKOFF = timedelta(seconds=30)
TELL_EVERY = timedelta(seconds=60)
"""How often what was dropped is told in the process's own log, at most."""
CAPACITY = 10_000
"""Spans, and lines, that may wait for a store that is slow or away; what comes beyond it is dropped and counted."""
IN_ONE_BATCH = 1_000
MOST_OF_A_TASK = 5_000
"""Spans, and lines, that one process keeps of one task: a loop that logs fills no disk."""
TASKS_COUNTED = 1_000

_T = TypeVar("_T")

logger = structlog.get_logger()


class StoreAway(Exception):
    """The store does not answer; the same rows may be given to it again later."""


class Store(Protocol):
    """Where rows are kept. The real one is `SqlStore`."""

    def keep(self, spans: Sequence[SpanRow], lines: Sequence[LineRow]) -> None:
        """Keep rows, or none of them and raise StoreAway; any other error means that they cannot be kept."""

    def rest(self) -> None:
        """Let go of what is held open: nothing has come for a while."""

    def close(self) -> None:
        """Let go of what is held open, for good."""


class Outbox:
    """Takes spans and lines without a lock or a wait, and gives them to a store in batches.

    What waits when the process is killed is lost, and so is what comes while the queue is full: it tells of runs, and
    nothing depends on it. In a child that is forked off later it takes nothing.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        mask: Mask,
        *,
        pace: timedelta = BETWEEN_FLUSHES,
        capacity: int = CAPACITY,
        most_of_a_task: int = MOST_OF_A_TASK,
    ) -> None:
        self.dropped = 0
        self._store = store
        self._service = service
        self._mask = mask
        self._pace = pace
        self._capacity = capacity
        self._spans: deque[ReadableSpan] = deque()
        self._lines: deque[Line] = deque()
        self._pending: tuple[list[SpanRow], list[LineRow]] = ([], [])
        self._counts = _Counts(most_of_a_task)
        self._told = 0
        self._wake = threading.Event()
        self._stopping = False
        self._works = True
        self._thread = threading.Thread(target=self._keep_writing, name="telemetry", daemon=True)
        _disown_after_fork(weakref.ref(self))

    def start(self) -> None:
        """Begin to write; call it in the process whose spans they are, not before a fork."""
        self._thread.start()

    def add_span(self, span: ReadableSpan) -> None:
        """Have a span that has ended written soon."""
        self._add(self._spans, span)

    def add_line(self, line: Line) -> None:
        """Have a line written soon."""
        self._add(self._lines, line)

    def _add(self, waiting: deque[_T], item: _T) -> None:
        if not self._works:
            return
        if len(waiting) < self._capacity:
            waiting.append(item)
        else:
            self.dropped += 1

    def stop(self, within: timedelta) -> None:
        """Write what waits, and end; what is not written `within` this time is lost."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within.total_seconds())

    def disown(self) -> None:
        """Take nothing any more: the thread that would write it has stayed in the parent."""
        self._works = False
        self._spans.clear()
        self._lines.clear()

    def _keep_writing(self) -> None:
        backoff, told_after = self._pace, timedelta()
        while True:
            self._wake.wait(backoff.total_seconds())
            last = self._stopping
            backoff = self._pace if self._flush() else min(backoff * 2, LONGEST_BACKOFF)
            told_after += backoff
            if told_after >= TELL_EVERY or last:
                told_after = timedelta()
                self._tell()
            if last:
                self._store.close()
                return

    def _flush(self) -> bool:
        """Write until nothing waits; False when the store is away."""
        idle = True
        while self._take():
            idle = False
            try:
                self._store.keep(*self._pending)
            except StoreAway as error:
                logger.warning("telemetry.store_away", error=str(error))
                return False
            except Exception:
                self.dropped += sum(row.number for rows in self._pending for row in rows)
                logger.exception("telemetry.not_kept")
            self._pending = ([], [])
        if idle:
            self._store.rest()
        return True

    def _take(self) -> bool:
        """Pack the next batch, unless one waits already; False when nothing waits."""
        if any(self._pending):
            return True
        spans, lines = _taken(self._spans), _taken(self._lines)
        if not spans and not lines:
            return False
        span_batch = span_rows(spans, self._service, self._mask)
        line_batch = line_rows([line for line in lines if self._within_bounds(line)], self._service, self._mask)
        kept = [row for row in span_batch if self._counts.admit(f"spans of {row.task_id or row.trace_id}", row.number)]
        self.dropped += sum(row.number for row in span_batch) - sum(row.number for row in kept)
        self._pending = (kept, line_batch)
        return True

    def _within_bounds(self, line: Line) -> bool:
        admitted = self._counts.admit(line.task_id, 1)
        self.dropped += not admitted
        return admitted

    def _tell(self) -> None:
        if self.dropped > self._told:
            logger.warning("telemetry.dropped", spans_and_lines=self.dropped - self._told)
            self._told = self.dropped


def _disown_after_fork(outbox: "weakref.ref[Outbox]") -> None:
    def disown() -> None:
        if (found := outbox()) is not None:
            found.disown()

    os.register_at_fork(after_in_child=disown)


class _Counts:
    """How much was kept of each of the tasks that were heard of last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: OrderedDict[str, int] = OrderedDict()

    def admit(self, key: str, number: int) -> bool:
        """Count `number` more of a task; False when that is too many."""
        counted = self._counts.pop(key, 0)
        admitted = counted + number <= self._most
        self._counts[key] = counted + number if admitted else counted
        if len(self._counts) > TASKS_COUNTED:
            self._counts.popitem(last=False)
        return admitted


def _taken(waiting: deque[_T]) -> list[_T]:
    return [waiting.popleft() for _ in range(min(len(waiting), IN_ONE_BATCH))]
