"""Traces, and the log lines of tasks: made cheaply, masked, and kept for a bounded time by a thread of the process."""

from shared.telemetry.process import configure_telemetry, flush_telemetry
from shared.telemetry.tracing import TASK_ID, current_traceparent, link_to, note_tasks, record_span, span, spans

__all__ = [
    "TASK_ID",
    "configure_telemetry",
    "current_traceparent",
    "flush_telemetry",
    "link_to",
    "note_tasks",
    "record_span",
    "span",
    "spans",
]
