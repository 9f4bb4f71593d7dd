"""An example of a worker, as the documentation of the API shows it."""

from typing import Any

from services.gateway.examples import TASK_ID

WORKER: dict[str, Any] = {
    "name": "executor@host",
    "host": "host",
    "pid": 4711,
    "pool": "prefork",
    "concurrency": 2,
    "queues": ["high.resume", "high", "normal.resume", "normal", "low.resume", "low", "maintenance"],
    "state": "online",
    "active": [TASK_ID],
    "processed": 318,
    "cpu_percent": 71.5,
    "rss_bytes": 412_090_368,
    "uss_bytes": 201_326_592,
    "started_at": "2026-01-30T13:00:00.250000Z",
    "last_heartbeat_at": "2026-01-30T14:30:00.750000Z",
}
