"""Heartbeats of workers, and how a worker leaves them in Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import redis

from shared.heartbeats import SEEN_KEY, TTL, WORKERS_KEY, WorkerHeartbeat, heartbeat_key, last_heartbeat_key
from tests.builders import NOW, WORKER

LONG = TTL + timedelta(seconds=60)
"""The life of a heartbeat that a test does not renew."""


def heartbeat(name: str = WORKER, **changes: Any) -> WorkerHeartbeat:
    """The heartbeat of an idle worker with two slots, but for `changes`."""
    usual: dict[str, Any] = {
        "host": "here",
        "pid": 1,
        "pool": "prefork",
        "concurrency": 2,
        "queues": ("high", "normal"),
        "started_at": NOW,
        "at": NOW + timedelta(seconds=9.125),
        "processed": 7,
        "cpu_percent": 12.5,
        "rss_bytes": 2 << 20,
        "uss_bytes": 1 << 20,
    }
    return WorkerHeartbeat(name=name, **(usual | changes))


def beat(client: redis.Redis, beating: WorkerHeartbeat, *, alive: bool = True) -> None:
    """Leave what a worker leaves; of one that is not `alive` only what outlasts it is there."""
    encoded = msgspec.json.encode(beating)
    client.set(last_heartbeat_key(beating.name), encoded, ex=LONG)
    client.zadd(SEEN_KEY, {beating.name: beating.at.timestamp()})
    client.delete(heartbeat_key(beating.name))
    if alive:
        client.sadd(WORKERS_KEY, beating.name)
        client.set(heartbeat_key(beating.name), encoded, ex=LONG)
