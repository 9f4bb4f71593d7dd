"""A control command of workers: take nothing more, finish what is in hand, and leave.

The end comes from `services.executor.beacon`, once nothing is in hand. It is no warm shutdown from the start: a worker
that shuts down hears no commands any more, and a run that it still has could not be interrupted.
"""

from datetime import datetime
from typing import Any

import structlog
from celery.worker.control import control_command

from services.executor import process
from services.executor.queues import DRAIN_WORKER

logger = structlog.get_logger()


@control_command(name=DRAIN_WORKER, args=[("started_at", str)])
def drain_worker(state: Any, started_at: str) -> dict[str, str]:
    """Have the worker leave if it is the one that began at `started_at`, and not a later one of its name."""
    consumer = state.consumer
    if datetime.fromisoformat(started_at) != consumer.beacon.started_at:
        return {"ok": "a worker before this one was meant"}
    for queue in process.settings().queues:
        consumer.cancel_task_queue(queue)
    if not consumer.beacon.draining:
        logger.info("worker.draining")
        consumer.beacon.draining = True
    return {"ok": "it takes nothing more"}
