"""The log lines that are a task's: those that were logged with a `task_id` bound, by whichever logger."""

import logging
from datetime import datetime
from typing import Any

import structlog
from opentelemetry import trace

from shared.telemetry.outbox import Outbox
from shared.telemetry.records import LEVELS, Line, traceback_of

_OF_STRUCTLOG = frozenset({"event", "level", "logger", "at", "exc_info", "stack_info", "_record", "_from_structlog"})


class TaskLines(logging.Handler):
    """Gives the lines of tasks to an outbox; every other line costs a look into a dictionary."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def createLock(self) -> None:  # noqa: N802
        """Have none: the outbox needs none."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, be it structlog's, which has a dict for a message, or of the standard library."""
        given = record.msg if isinstance(record.msg, dict) else structlog.contextvars.get_contextvars()
        task_id = given.get("task_id")
        if task_id is None:
            return
        try:
            self._outbox.add_line(_line(record, given, str(task_id)))
        except Exception:
            self.handleError(record)


def _line(record: logging.LogRecord, given: dict[str, Any], task_id: str) -> Line:
    of_structlog = isinstance(record.msg, dict)
    level = record.levelname.lower()
    context = trace.get_current_span().get_span_context()
    exc_info = given.get("exc_info") if of_structlog else record.exc_info
    return Line(
        task_id=task_id,
        at=_at(given.get("at"), record.created),
        level=level if level in LEVELS else "info",
        logger=record.name,
        event=str(given.get("event", "")) if of_structlog else record.getMessage(),
        fields={name: value for name, value in given.items() if name not in _OF_STRUCTLOG},
        trace=context if context.is_valid else None,
        traceback=traceback_of(exc_info),
    )


def _at(stamped: object, created: float) -> float:
    """Return the time that the line itself shows, where it shows one."""
    try:
        return datetime.fromisoformat(str(stamped)).timestamp() if stamped else created
    except ValueError:
        return created
