"""Examples for the OpenAPI document: three queues, the first of which is paused."""

from typing import Any

RESUMED: dict[str, Any] = {
    "priority": "high",
    "paused": False,
    "paused_at": None,
    "paused_by": None,
    "pause_reason": None,
}
PAUSED = RESUMED | {
    "paused": True,
    "paused_at": "2026-01-30T14:30:00.125000Z",
    "paused_by": "ann",
    "pause_reason": "the venue is down",
}
_WORKERS = ["executor@host"]
QUEUES: dict[str, Any] = {
    "items": [
        PAUSED | {"depth": 3, "oldest_seconds": 61.5, "consumers": _WORKERS},
        RESUMED | {"priority": "normal", "depth": 1, "oldest_seconds": 0.25, "consumers": _WORKERS},
        RESUMED | {"priority": "low", "depth": 0, "oldest_seconds": None, "consumers": _WORKERS},
    ],
    "maintenance": {"depth": 0, "consumers": _WORKERS},
}
