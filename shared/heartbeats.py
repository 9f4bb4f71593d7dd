"""What a worker says of itself every second: a key in Redis that goes away with it, and a copy that stays for a while.

Only the first one tells who lives; the copy is for people who ask who was there (`last_heartbeat_key`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

INTERVAL = timedelta(seconds=1)
TTL = timedelta(seconds=3)
PREFIX = "blotter:worker:"
WORKERS_KEY = "blotter:workers"
"""A set of the names of workers that may have a heartbeat, so that nobody scans for their keys."""

LAST_PREFIX = "blotter:last-heartbeat:"
SEEN_KEY = "blotter:seen-workers"
"""The names of workers that were there lately, each with the time of its last heartbeat (seconds since 1970)."""

GENERATION_KEY = "blotter:generation"
"""Holds a random value for as long as Redis keeps what it is given; a wipe destroys it."""

FULL_LIMITS_KEY = "blotter:limits:full"
"""The keys of limits for whose places runs wait, as a JSON list; the dispatcher says so for as long as they do."""
FULL_LIMITS_TTL = timedelta(seconds=5)

SCHEDULER_KEY = "blotter:scheduler:alive"
"""Exists while beat runs."""
SCHEDULER_TTL = timedelta(seconds=5)


class ActiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that a worker has in hand, of a run or of one of its branches."""

    task_id: UUID
    attempt: int
    branch_id: UUID | None = None


class WorkerHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: where it runs, how many tasks it takes at once, from which queues, and what it has in hand.

    `dead` are attempts whose child has died under them. One that is `draining` takes nothing more, from no queue; one
    that has `left` says it with its last heartbeat, which is kept in the copy only. `processed`, and what its whole
    process tree uses, is None in heartbeats of workers that do not tell it.
    """

    name: str
    host: str
    pid: int
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    started_at: datetime
    at: datetime
    active: tuple[ActiveRun, ...] = ()
    dead: tuple[ActiveRun, ...] = ()
    processed: int | None = None
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    uss_bytes: int | None = None
    draining: bool = False
    left: bool = False


def heartbeat_key(worker: str) -> str:
    """Return the key of a worker's heartbeat."""
    return f"{PREFIX}{worker}"


def last_heartbeat_key(worker: str) -> str:
    """Return the key of the copy of a worker's last heartbeat, which proves nothing about its life."""
    return f"{LAST_PREFIX}{worker}"


def decode_heartbeats(values: Iterable[bytes | None]) -> dict[str, WorkerHeartbeat]:
    """Return the heartbeats in `values` by worker, without those of keys that have expired."""
    beats = (msgspec.json.decode(value, type=WorkerHeartbeat) for value in values if value is not None)
    return {beat.name: beat for beat in beats}
