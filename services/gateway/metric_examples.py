"""Examples for the OpenAPI document: a system that has been at work for a while."""

from typing import Any

METRICS: dict[str, Any] = {
    "tasks": {
        "queued": 2,
        "active": 3,
        "completed": 1204,
        "failed": 7,
        "retrying": 1,
        "preempted": 0,
        "cancelled": 12,
    },
    "average_duration_seconds": 1.25,
    "p95_duration_seconds": 4.36,
    "average_waiting_seconds": 0.04,
    "p95_waiting_seconds": 0.15,
    "throughput_per_minute": 20.5,
    "as_of_position": 9210,
    "workers": 1,
    "worker_states": {"online": 1, "draining": 0, "unresponsive": 0, "offline": 1},
    "queue_length": {"high": 0, "normal": 2, "low": 0},
    "queue_oldest_seconds": {"high": None, "normal": 0.5, "low": None},
    "projection_lag_events": 0,
    "projection_lag_seconds": 0.0,
    "window_seconds": 3600,
    "window_from": "2026-01-30T13:30:00Z",
}

HISTORY: dict[str, Any] = {
    "as_of_position": 9210,
    "points": [
        {
            "at": "2026-01-30T14:30:00Z",
            "submitted": 21,
            "started": 23,
            "completed": 19,
            "failed": 1,
            "cancelled": 0,
            "retried": 1,
            "preempted": 1,
            "average_duration_seconds": 1.25,
            "p95_duration_seconds": 4.36,
            "average_waiting_seconds": 0.04,
        }
    ],
}
