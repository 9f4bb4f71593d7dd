"""What is kept of spans and of log lines, and how it is packed: one row for what a process has to say of one task."""

import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from shared.telemetry.tracing import TASK_ID, TASKS

LONGEST_TEXT = 8_192
"""Characters of one value; the end of what is longer is cut off, of a traceback its beginning."""
MOST_FIELDS = 64
IN_ONE_ROW = 200

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The levels of log lines, by their names, as the standard library numbers them."""

Json = dict[str, Any]
Mask = Callable[[str], str]


class Line(NamedTuple):
    """One log line of a task, as it was logged; `fields` is everything that was bound or given."""

    task_id: str
    at: float
    level: str
    logger: str
    event: str
    fields: Json
    trace: SpanContext | None
    traceback: str | None


class SpanRow(NamedTuple):
    """Spans of one trace and, but for those that several tasks share, of one task; `body` is a JSON array."""

    trace_id: UUID
    task_id: UUID | None
    number: int
    body: bytes


class LineRow(NamedTuple):
    """Log lines of one task in the order in which they came; `highest` is the greatest of their levels."""

    task_id: UUID
    number: int
    highest: int
    body: bytes


def is_kept(span: ReadableSpan) -> bool:
    """Tell whether a span tells of a task: requests that only read are not kept."""
    attributes = span.attributes or {}
    return TASK_ID in attributes or TASKS in attributes


def span_rows(spans: Sequence[ReadableSpan], service: str, mask: Mask) -> list[SpanRow]:
    """Return the rows for some spans, by trace and task."""
    found: dict[tuple[int, str | None], list[ReadableSpan]] = {}
    for span in spans:
        if span.context is not None:
            task_id = (span.attributes or {}).get(TASK_ID)
            found.setdefault((span.context.trace_id, str(task_id) if task_id else None), []).append(span)
    rows = []
    for (trace_id, task), those in found.items():
        own = _uuid(task)
        if task is not None and own is None:
            continue
        for part in _parts(those):
            body = _encoded([_span_document(each, service) for each in part], mask)
            rows.append(SpanRow(UUID(int=trace_id), own, len(part), body))
    return rows


def line_rows(lines: Sequence[Line], service: str, mask: Mask) -> list[LineRow]:
    """Return the rows for some lines, by task, each in the order in which its lines came."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.task_id, []).append(line)
    rows = []
    for task, those in found.items():
        if (task_id := _uuid(task)) is None:
            continue
        for part in _parts(those):
            highest = max(LEVELS.get(each.level, LEVELS["info"]) for each in part)
            body = _encoded([_line_document(each, service) for each in part], mask)
            rows.append(LineRow(task_id, len(part), highest, body))
    return rows


def traceback_of(exc_info: Any) -> str | None:
    """Return the traceback of what a logger was given as `exc_info`: True, an exception, or the usual three."""
    if not exc_info:
        return None
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    else:
        error = (exc_info if isinstance(exc_info, tuple) else sys.exc_info())[1]
    return None if error is None else "".join(traceback.format_exception(error))


def _span_document(span: ReadableSpan, service: str) -> Json:
    assert span.context is not None
    start, end = span.start_time or 0, span.end_time or span.start_time or 0
    return {
        "span_id": f"{span.context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent is not None else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": service,
        "start_at": _moment(start / 1e9),
        "duration_seconds": round((end - start) / 1e9, 6),
        "status": span.status.status_code.name.lower(),
        "attributes": _fields(span.attributes or {}),
        "links": [
            {
                "trace_id": f"{each.context.trace_id:032x}",
                "span_id": f"{each.context.span_id:016x}",
                "attributes": _fields(each.attributes or {}),
            }
            for each in span.links
        ],
        "events": [
            {"name": each.name, "at": _moment(each.timestamp / 1e9), "attributes": _fields(each.attributes or {})}
            for each in span.events
        ],
    }


def _line_document(line: Line, service: str) -> Json:
    fields = dict(line.fields)
    own = {name: fields.pop(name, None) for name in ("step", "symbol", "attempt", "worker")}
    trace, written = line.trace, fields.pop("traceback", None)
    for known in ("task_id", "trace_id"):
        fields.pop(known, None)
    return {
        "at": _moment(line.at),
        "level": line.level,
        "event": _cut(line.event),
        "logger": line.logger,
        "service": service,
        **{name: _plain(value) for name, value in own.items()},
        "trace_id": f"{trace.trace_id:032x}" if trace else None,
        "span_id": f"{trace.span_id:016x}" if trace else None,
        "fields": _fields(fields),
        "traceback": _tail(line.traceback or (str(written) if written else None)),
    }


def _encoded(documents: list[Json], mask: Mask) -> bytes:
    try:
        text = msgspec.json.encode(documents, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):  # a text that is no text, or a name that is none
        text = msgspec.json.encode([_legible(each) for each in documents]).decode()
    return mask(text).encode()


def _legible(value: Any) -> Any:
    """Return a value that can be written down for sure."""
    match value:
        case dict():
            return {_legible(str(name)): _legible(each) for name, each in value.items()}
        case list() | tuple():
            return [_legible(each) for each in value]
        case str():
            return value.encode(errors="backslashreplace").decode()
        case None | bool() | int() | float():
            return value
    return _legible(repr(value))


def _fields(values: Any) -> Json:
    return {str(name): _plain(value) for name, value in list(values.items())[:MOST_FIELDS]}


def _plain(value: Any) -> Any:
    """Return a value of bounded length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list | tuple | dict):
        try:
            text = msgspec.json.encode(value, enc_hook=str)
        except (TypeError, ValueError, RecursionError):
            return _cut(repr(value))
        return msgspec.json.decode(text) if len(text) <= LONGEST_TEXT else _cut(text.decode())
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def _tail(text: str | None) -> str | None:
    return text if text is None or len(text) <= 2 * LONGEST_TEXT else f"...{text[-2 * LONGEST_TEXT :]}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[begin : begin + IN_ONE_ROW] for begin in range(0, len(items), IN_ONE_ROW)]
