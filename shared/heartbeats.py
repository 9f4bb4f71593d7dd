"""What a worker says of itself every second: a key in Redis that goes away with it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

INTERVAL = timedelta(seconds=1)
TTL = timedelta(seconds=3)
PREFIX = "blotter:worker:"


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


def decode_heartbeats(values: Iterable[bytes | None]) -> list[WorkerHeartbeat]:
    """Return the heartbeats in `values`, leaving out keys that expired in between."""
    return [msgspec.json.decode(value, type=WorkerHeartbeat) for value in values if value is not None]


SCHEDULER_KEY = "blotter:scheduler:alive"
"""Exists while beat runs."""
SCHEDULER_TTL = timedelta(seconds=5)
