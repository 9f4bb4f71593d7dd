"""Examples for the OpenAPI document: one task, from its submission to its end."""

from typing import Any

TASK_ID = "5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"

ACCEPTANCE = {
    "task_id": TASK_ID,
    "state": "PENDING",
    "priority": "high",
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "submitted_at": "2026-01-30T14:30:00.125000Z",
}
CANCELLED = {"task_id": TASK_ID, "state": "REVOKED", "was": "queued", "cancelling": False}
CANCELLING = {"task_id": TASK_ID, "state": "STARTED", "was": "running", "cancelling": True}
OTHER_ID = "c2f7c1de-33a5-4b0e-8f43-5d1b2f6f7a11"
BULK_CANCELLED = {
    "count": 2,
    "cancelled": 2,
    "cancelling": 0,
    "finished": 7,
    "task_ids": [TASK_ID, OTHER_ID],
    "cancelling_ids": [],
}
BULK_CANCELLING = BULK_CANCELLED | {"cancelled": 1, "cancelling": 1, "cancelling_ids": [OTHER_ID]}
TASK: dict[str, Any] = {
    "task_id": TASK_ID,
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "priority": "high",
    "user_id": "ann",
    "labels": {"desk": "eu"},
    "parameters": {"fast": 20, "slow": 50},
    "state": "STARTED",
    "status": "running",
    "reason": None,
    "cancelling": False,
    "progress": {
        "current_step": "analyse",
        "completed_steps": 1,
        "total_steps": 4,
        "current_symbol": "MSFT",
        "completed_symbols": ["AAPL"],
        "total_symbols": 2,
        "fraction": 0.375,
    },
    "result": None,
    "result_expires_at": None,
    "result_expired": False,
    "result_error": None,
    "partial_result": None,
    "error": None,
    "attempts": 1,
    "max_retries": 3,
    "next_retry_at": None,
    "preemptions": 0,
    "preempted_by": None,
    "preempted_at": None,
    "submitted_at": "2026-01-30T14:30:00.125000Z",
    "waiting_since": None,
    "started_at": "2026-01-30T14:30:00.161000Z",
    "finished_at": None,
    "duration_seconds": None,
    "worker": "executor@host",
    "schedule_id": None,
    "scheduled_at": None,
    "held": False,
    "parent_task_id": None,
    "trace_id": TRACE_ID,
    "version": 4,
}
RETRIED: dict[str, Any] = TASK | {
    "state": "RETRY",
    "status": "retrying",
    "reason": "its retry is due; waiting for a free worker",
}
STEP = {
    "index": 0,
    "step": "bars",
    "symbol": "AAPL",
    "state": "completed",
    "attempts": 1,
    "started_at": "2026-01-30T14:30:00.161000Z",
    "finished_at": "2026-01-30T14:30:00.214000Z",
    "duration_seconds": 0.053,
    "worker": "executor@host",
    "output": {
        "uri": "object://sha256/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "media_type": "application/vnd.apache.arrow.file",
        "size": 18432,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "error": None,
}
ARTIFACT = {
    "name": "signals.csv",
    "media_type": "text/csv",
    "size": 4096,
    "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "url": f"/api/tasks/{TASK_ID}/artifacts/signals.csv",
    "step": "analyse",
    "symbol": "MSFT",
}
ORDER = {
    "client_order_id": f"{TASK_ID}-9f86d081884c7d65",
    "task_id": TASK_ID,
    "step": "trade",
    "step_symbol": None,
    "symbol": "MSFT",
    "side": "buy",
    "quantity": "10",
    "limit_price": None,
    "state": "filled",
    "venue_order_id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "filled_quantity": "10",
    "average_price": "24.68",
    "fees": "0.05",
    "requested_at": "2026-01-30T14:30:00.301000Z",
    "submitted_at": "2026-01-30T14:30:00.314000Z",
    "filled_at": "2026-01-30T14:30:00.340000Z",
    "reason": None,
}
EVENT = {
    "position": 4711,
    "stream": TASK_ID,
    "version": 2,
    "type": "execution.attempt_started",
    "at": "2026-01-30T14:30:00.161000Z",
    "actor": "executor:executor@host",
    "data": {"attempt": 1, "worker": "executor@host"},
    "trace_id": TRACE_ID,
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": f"{TASK_ID}:2",
    "source": "urn:blotter:log",
    "type": "blotter.execution.attempt_started",
    "subject": TASK_ID,
    "time": "2026-01-30T14:30:00.161000Z",
    "datacontenttype": "application/json",
    "position": 4711,
    "actor": "executor:executor@host",
    "data": {"attempt": 1, "worker": "executor@host"},
    "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
}
PUSHED = (
    "retry: 1000\n\n"
    "id: 4711\n"
    "event: execution.attempt_started\n"
    f'data: {{"position":4711,"type":"execution.attempt_started","task_id":"{TASK_ID}","subject":"{TASK_ID}",'
    '"at":"2026-01-30T14:30:00.161000Z","data":{"attempt":1,"worker":"executor@host"}}\n\n'
    ": heartbeat\n\n"
)
STRATEGY: dict[str, Any] = {
    "strategy_id": "sma-crossover",
    "title": "Moving-average crossover",
    "description": "Buys when the fast mean crosses above the slow one, sells when it crosses below.",
    "steps": [
        {"name": "bars", "kind": "sequential", "each": "symbol"},
        {"name": "decide", "kind": "sequential", "each": "run"},
    ],
    "parameters_schema": {
        "type": "object",
        "properties": {"fast": {"type": "integer", "minimum": 2}, "slow": {"type": "integer", "minimum": 3}},
    },
    "defaults": {"fast": 20, "slow": 50},
    "max_retries": 3,
    "timeout_seconds": 3600.0,
}
BROKEN = {"file": "strategies/draft.py", "error": "SyntaxError: invalid syntax (draft.py, line 7)"}
READY = {
    "status": "ready",
    "parts": {
        "log": {"up": True, "detail": None, "position": 4711},
        "catalogue": {"up": True, "detail": None, "position": 1, "strategies": 3, "broken": 0},
        "status": {"up": True, "detail": None},
        "projector": {"up": True, "detail": None, "lag_events": 0},
    },
}
UNAVAILABLE = {
    "status": "unavailable",
    "parts": {
        "log": {"up": True, "detail": None, "position": 0},
        "catalogue": {"up": False, "detail": "no executor has published its strategies yet"},
        "status": {"up": True, "detail": None},
    },
}
