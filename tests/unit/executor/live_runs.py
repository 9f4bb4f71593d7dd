"""Live runs and workers, as tests of the dispatcher's arithmetic want them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from services.executor.live_run import LiveRun, RunState
from services.executor.queues import CONSUMED
from shared.domain.priority import Priority
from shared.heartbeats import WorkerHeartbeat
from tests.builders import NOW

WORKER = "executor@desk"


def waiting(level: Priority = Priority.NORMAL, **changes: Any) -> LiveRun:
    """A run that waits, not in Redis yet."""
    task_id = changes.get("task_id", uuid4())
    fields: dict[str, Any] = {
        "id": task_id,
        "task_id": task_id,
        "strategy_id": "s",
        "symbols": ("MSFT",),
        "user_id": "ada",
        "level": level,
        "attempt": 1,
        "state": RunState.WAITING,
        "since": 1,
        "timeout_seconds": 60.0,
        "waiting_since": NOW,
    }
    return LiveRun(**(fields | changes))


def at_work(level: Priority = Priority.LOW, **changes: Any) -> LiveRun:
    """A run that WORKER has had since NOW."""
    fields = {"state": RunState.RUNNING, "worker": WORKER, "started_at": NOW}
    return waiting(level, **(fields | changes))


def worker(name: str = WORKER, *, concurrency: int = 2, queues: tuple[str, ...] = CONSUMED) -> WorkerHeartbeat:
    """What a worker says of itself."""
    return WorkerHeartbeat(
        name=name,
        host="desk",
        pid=1,
        pool="prefork",
        concurrency=concurrency,
        queues=queues,
        started_at=NOW,
        at=NOW,
    )
