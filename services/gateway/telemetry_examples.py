"""Examples of a trace and of a log line, as the documentation of the API shows them."""

from typing import Any

from services.gateway.examples import TASK_ID, TRACE_ID

SPAN: dict[str, Any] = {
    "span_id": "00f067aa0ba902b7",
    "parent_span_id": "53995c3f42cd8ad8",
    "name": "step place_orders",
    "kind": "internal",
    "service": "executor.worker",
    "start_at": "2026-01-30T14:30:00.750000Z",
    "duration_seconds": 0.042187,
    "status": "unset",
    "attributes": {"blotter.task_id": TASK_ID, "blotter.step": "place_orders", "blotter.symbol": "AAPL"},
    "links": [],
    "events": [],
}
TRACE: dict[str, Any] = {
    "task_id": TASK_ID,
    "trace_id": TRACE_ID,
    "spans": [SPAN],
    "truncated": False,
    "reason": None,
}
LINE: dict[str, Any] = {
    "cursor": "1042.3",
    "at": "2026-01-30T14:30:00.792187Z",
    "level": "info",
    "event": "step.completed",
    "logger": "services.executor.attempt_journal",
    "service": "executor.worker",
    "step": "place_orders",
    "symbol": "AAPL",
    "attempt": 1,
    "worker": "executor@host",
    "trace_id": TRACE_ID,
    "span_id": "53995c3f42cd8ad8",
    "fields": {"seconds": 0.042187},
    "traceback": None,
}
