"""Examples for the OpenAPI document: one schedule, and what becomes of its times."""

from typing import Any

from services.gateway.examples import ACCEPTANCE, OTHER_ID, TASK_ID

SCHEDULE_ID = "0c7a5a52-7f0c-4b3e-9d7e-1f5e0a3f9b64"
BACKFILL_ID = "d1b9f6a4-61f4-4a8e-8d3c-7f1f3f7f0c55"

SCHEDULE: dict[str, Any] = {
    "schedule_id": SCHEDULE_ID,
    "name": "open-plus-5",
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "when": {"cron": "35 9 * * mon-fri"},
    "parameters": {"fast": 20, "slow": 50},
    "priority": "normal",
    "labels": {"desk": "eu"},
    "max_retries": None,
    "timeout_seconds": None,
    "result_ttl_seconds": None,
    "timezone": "America/New_York",
    "calendar": "XNYS",
    "start_at": None,
    "end_at": None,
    "overlap": "skip",
    "catchup_seconds": 300.0,
    "jitter_seconds": 0.0,
    "max_runs": None,
    "pause_on_failure": False,
    "enabled": True,
    "disabled_reason": None,
    "user_id": "ann",
    "created_at": "2026-01-29T08:00:00.125000Z",
    "changed_at": "2026-01-29T08:00:00.125000Z",
    "deleted_at": None,
    "next_fire_at": "2026-02-02T14:35:00Z",
    "last_fired_at": "2026-01-30T14:35:00.031000Z",
    "last_nominal_at": "2026-01-30T14:35:00Z",
    "last_task_id": TASK_ID,
    "counters": {"fired": 2, "skipped_overlap": 0, "skipped_otherwise": 0, "missed_catchup": 0, "buffered": 0},
    "running": [TASK_ID],
    "held": [],
    "backfills": [],
    "version": 3,
}
DISABLED = SCHEDULE | {
    "enabled": False,
    "disabled_reason": "earnings season",
    "changed_at": "2026-01-30T15:00:00.500000Z",
    "next_fire_at": None,
    "version": 4,
}
DELETED = SCHEDULE | {
    "changed_at": "2026-01-30T15:00:00.500000Z",
    "deleted_at": "2026-01-30T15:00:00.500000Z",
    "next_fire_at": None,
    "version": 4,
}
TRIGGERED = ACCEPTANCE | {"held": False}
BACKFILL = {
    "backfill_id": BACKFILL_ID,
    "schedule_id": SCHEDULE_ID,
    "start": "2026-01-05T00:00:00Z",
    "end": "2026-01-16T23:59:59Z",
    "overlap": "buffer_all",
    "count": 10,
}
_TIMES = [
    {"at": "2026-02-02T14:35:00Z", "local": "2026-02-02T09:35:00-05:00", "due_at": "2026-02-02T14:35:00Z"},
    {"at": "2026-02-03T14:35:00Z", "local": "2026-02-03T09:35:00-05:00", "due_at": "2026-02-03T14:35:00Z"},
]
PREVIEW = {"items": _TIMES, "timezone": "America/New_York"}
UPCOMING = PREVIEW | {"reason": None}
_NOTHING = dict.fromkeys(
    ("last_at", "request_id", "task_id", "reason", "running_task_id", "count", "task_state", "task_status")
)
HISTORY = [
    _NOTHING
    | {
        "position": 4733,
        "at": "2026-01-30T14:35:00.031000Z",
        "type": "skipped",
        "kind": "schedule",
        "nominal_at": "2026-01-30T14:35:00Z",
        "reason": "overlap",
        "running_task_id": OTHER_ID,
        "actor": "scheduler.beat",
    },
    _NOTHING
    | {
        "position": 4711,
        "at": "2026-01-29T14:35:00.029000Z",
        "type": "fired",
        "kind": "schedule",
        "nominal_at": "2026-01-29T14:35:00Z",
        "task_id": OTHER_ID,
        "actor": "scheduler.beat",
        "task_state": "STARTED",
        "task_status": "running",
    },
]
