"""The documents about traces and log lines, for the OpenAPI document: what is sent is made by the status service.

A test holds these fields and those of the answers together.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.gateway.queries import LogLevel


class SpanLink(BaseModel):
    """Another span that this one follows from: of a retry or a resumed attempt the one before."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanEvent(BaseModel):
    """Something that happened within a span, such as an exception."""

    name: str
    at: datetime
    attributes: dict[str, Any]


class Span(BaseModel):
    """One span, with what OpenTelemetry knows of it; `status` is unset, ok or error."""

    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    service: str
    start_at: datetime
    duration_seconds: float
    status: str
    attributes: dict[str, Any]
    links: list[SpanLink]
    events: list[SpanEvent]


class Trace(BaseModel):
    """A task's spans by their start; `truncated` if there are more, and why there are none if there are none."""

    task_id: UUID
    trace_id: str | None
    spans: list[Span]
    truncated: bool
    reason: str | None


class LogLine(BaseModel):
    """One log line; `fields` are those that the logger was given beside the named ones."""

    cursor: str
    at: datetime
    level: LogLevel
    event: str
    logger: str
    service: str
    step: str | None
    symbol: str | None
    attempt: int | None
    worker: str | None
    trace_id: str | None
    span_id: str | None
    fields: dict[str, Any]
    traceback: str | None


class LogPage(BaseModel):
    """Log lines in the order in which they were kept."""

    items: list[LogLine]
    next_cursor: str | None
