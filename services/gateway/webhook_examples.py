"""Examples for the OpenAPI document: a webhook, one delivery that failed twice, and a user's preferences."""

from typing import Any

WEBHOOK_ID = "6f1c2a34-0b7d-4a0e-9c55-1f2e3d4c5b6a"
DELIVERY_ID = "0a4d7c52-7d5e-5f0c-8a44-3b1f0f9b7e21"
WEBHOOK: dict[str, Any] = {
    "webhook_id": WEBHOOK_ID,
    "url": "https://example.com/hooks/blotter",
    "types": ["execution.failed", "alert.*"],
    "scope": "own",
    "enabled": True,
    "disabled_reason": None,
    "user_id": "ann",
    "created_at": "2026-01-30T14:30:00.125000Z",
    "changed_at": "2026-01-30T14:30:00.125000Z",
}
WITH_SECRET = WEBHOOK | {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD9sWnpzGZ2zA="}
DELIVERY: dict[str, Any] = {
    "delivery_id": DELIVERY_ID,
    "event_id": "5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30:4",
    "type": "execution.failed",
    "position": 4713,
    "state": "pending",
    "attempts": 2,
    "created_at": "2026-01-30T14:30:02.125000Z",
    "due_at": "2026-01-30T14:30:39.410000Z",
    "ended_at": None,
    "last_status": 503,
    "last_error": None,
}
WITH_TRIES = DELIVERY | {
    "body": '{"specversion": "1.0", "type": "blotter.execution.failed"}',
    "tries": [
        {
            "number": 1,
            "at": "2026-01-30T14:30:02.130000Z",
            "duration_seconds": 5.0,
            "status": None,
            "error": "no answer within 5 s",
            "answer": None,
        },
        {
            "number": 2,
            "at": "2026-01-30T14:30:07.400000Z",
            "duration_seconds": 0.021,
            "status": 503,
            "error": None,
            "answer": "later",
        },
    ],
}
PREFERENCES: dict[str, Any] = {
    "user_id": "ann",
    "channels": [{"channel_id": "b3c0a7d2-7b2e-4a3c-9a67-8d1e2f3a4b5c", "scheme": "slack"}],
    "types": ["execution.failed"],
    "default_types": True,
    "scope": "own",
}
