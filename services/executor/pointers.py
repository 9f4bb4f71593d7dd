"""Celery messages that point at runs: what they hold, and under which id they travel."""

from typing import Any, Protocol
from uuid import UUID, uuid5

from celery import Celery

from services.executor.live_runs import LiveRun
from services.executor.queues import RUN, level_queue

TRACE_HEADER = "traceparent"


class Sender(Protocol):
    """Puts a pointer to a waiting run where workers find it."""

    def send(self, run: LiveRun) -> None:
        """Send one pointer; raises when Redis does not take it."""


class CelerySender:
    """Sends through a Celery application, over one connection that it keeps."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._producer: Any = None

    def send(self, run: LiveRun) -> None:
        """Send the pointer to `run` to the queue of its level."""
        if self._producer is None:
            self._producer = self._app.amqp.Producer(self._app.connection_for_write())
        try:
            self._app.send_task(
                RUN,
                kwargs=arguments(run),
                task_id=message_id(run.task_id, run.attempt),
                queue=level_queue(run.level, resumed=run.resumed),
                headers={TRACE_HEADER: run.trace} if run.trace else None,
                soft_time_limit=run.timeout_seconds,  # type: ignore[arg-type]  # fractions of a second work
                producer=self._producer,
                ignore_result=True,
                retry=False,
            )
        except Exception:
            self._producer = None
            raise


def arguments(run: LiveRun) -> dict[str, Any]:
    """Return the message's body: the pointer, and what people who look at a queue want to see in it."""
    return {
        "task_id": str(run.task_id),
        "attempt": run.attempt,
        "strategy_id": run.strategy_id,
        "symbols": list(run.symbols),
        "priority": str(run.level),
        "user_id": run.user_id,
    }


def message_id(task_id: UUID, attempt: int) -> str:
    """Return Celery's id of an attempt's message: the task id for the first, derived from it for later ones.

    Workers remember a revoked id; an attempt of its own id is not held against the next one.
    """
    return str(task_id) if attempt == 1 else str(uuid5(task_id, f"attempt {attempt}"))
