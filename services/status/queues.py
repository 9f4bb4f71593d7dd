"""The queues of the levels: how many runs wait in each and since when, who serves them, and which are paused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.status.tables import queues, workflow_executions
from shared.domain.priority import Priority
from shared.domain.queue import Pause, pause_by, pause_document
from shared.heartbeats import WorkerHeartbeat
from shared.routing import level_queue


class Waiting(NamedTuple):
    """How many runs wait for a worker, and since when the one does that has waited longest; None when none waits."""

    depth: int = 0
    since: datetime | None = None


def waiting(connection: sa.Connection) -> dict[Priority, Waiting]:
    """Return what waits in each level: for a first turn, or after a preemption or the loss of a worker.

    Not those that their schedules hold, nor those that wait for a retry.
    """
    c = workflow_executions.c
    rows = connection.execute(
        sa.select(c.priority, sa.func.count(), sa.func.min(c.waiting_since))
        .where(c.waiting_since.is_not(None))
        .group_by(c.priority)
    )
    return dict.fromkeys(Priority, Waiting()) | {Priority(level): Waiting(depth, since) for level, depth, since in rows}


def pauses(connection: sa.Connection) -> dict[Priority, Pause]:
    """Return the pause of each level that is paused."""
    c = queues.c
    rows = connection.execute(sa.select(c.priority, c.changed_at, c.changed_by, c.reason).where(c.paused))
    return {Priority(level): Pause(at=at, by=pause_by(actor), reason=reason) for level, at, actor, reason in rows}


def oldest_seconds(since: datetime | None, *, now: datetime) -> float | None:
    """Return how long ago `since` was; never less than nothing, whatever the clocks say."""
    return None if since is None else max(0.0, (now - since).total_seconds())


def consumers(beats: Mapping[str, WorkerHeartbeat], queue: str) -> list[str]:
    """Return the names of the workers that take messages from `queue`, in order."""
    return sorted(name for name, beat in beats.items() if queue in beat.queues)


def queue_document(
    level: Priority,
    found: Waiting,
    pause: Pause | None,
    beats: Mapping[str, WorkerHeartbeat] | None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return a level as `GET /queues` lists it; without heartbeats nobody knows who consumes."""
    return {
        "priority": level,
        "depth": found.depth,
        "oldest_seconds": oldest_seconds(found.since, now=now),
        **pause_document(pause),
        "consumers": None if beats is None else consumers(beats, level_queue(level)),
    }
