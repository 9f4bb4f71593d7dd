"""How a worker looks from outside."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

UNRESPONSIVE_AFTER = timedelta(seconds=3)
"""Silence after which a worker is unresponsive: three heartbeats are missing."""

OFFLINE_AFTER = timedelta(seconds=60)
"""Silence after which nobody waits for a worker any more: a machine that only hangs is back by then, or was ended."""


class WorkerState(StrEnum):
    """What is known of a worker that was there lately.

    `draining` takes nothing more, and leaves as soon as it has finished what it has in hand. `unresponsive` has missed
    its heartbeats without a goodbye; `offline` said goodbye, or has been silent for too long to be waited for.
    """

    ONLINE = "online"
    DRAINING = "draining"
    UNRESPONSIVE = "unresponsive"
    OFFLINE = "offline"


def worker_state(silence: timedelta, *, draining: bool = False, left: bool = False) -> WorkerState:
    """Return the state of a worker whose last heartbeat came `silence` ago, and said that it drains, or has left."""
    if left or silence >= OFFLINE_AFTER:
        return WorkerState.OFFLINE
    if silence >= UNRESPONSIVE_AFTER:
        return WorkerState.UNRESPONSIVE
    return WorkerState.DRAINING if draining else WorkerState.ONLINE


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as its last heartbeat told.

    `active` has the task of each taken slot: a task stands there once for each of its branches. `processed` counts
    attempts that it is done with since `started_at`, however they ended. CPU (percent of one core) and memory are those
    of the whole process tree. Measures are None where the worker did not tell them.
    """

    name: str
    host: str
    pid: int
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    state: WorkerState
    active: tuple[UUID, ...]
    processed: int | None
    cpu_percent: float | None
    rss_bytes: int | None
    uss_bytes: int | None
    started_at: datetime
    last_heartbeat_at: datetime
