"""What a worker says of itself every second: a key in Redis that goes away with it."""

from datetime import datetime, timedelta

import msgspec

INTERVAL = timedelta(seconds=1)
TTL = timedelta(seconds=3)
PREFIX = "blotter:worker:"

SCHEDULER_KEY = "blotter:scheduler:alive"
"""Exists while beat runs."""
SCHEDULER_TTL = timedelta(seconds=5)


class WorkerHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: where it runs, how many tasks it takes at once, and from which queues."""

    name: str
    host: str
    pid: int
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    started_at: datetime
    at: datetime


def heartbeat_key(worker: str) -> str:
    """Return the key of a worker's heartbeat."""
    return f"{PREFIX}{worker}"
