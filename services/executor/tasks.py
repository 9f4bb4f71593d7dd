"""The Celery task that runs workflows: a thin edge around the runner."""

from typing import Any
from uuid import UUID

from celery import Task, shared_task
from opentelemetry.trace import SpanKind

from services.executor import process
from services.executor.pointers import TRACE_HEADER
from services.executor.queues import RUN
from shared.telemetry import span


@shared_task(name=RUN, bind=True, ignore_result=True)
def run(self: "Task[Any, None]", /, *, task_id: str, attempt: int, **shown: Any) -> None:
    """Run the task that the pointer names; `shown` is for people who look at the queue, the log is what counts."""
    parent = (self.request.headers or {}).get(TRACE_HEADER)
    process.clock().adjust()
    with span(RUN, parent=parent, kind=SpanKind.CONSUMER):
        process.runner().run(UUID(task_id), attempt, worker=str(self.request.hostname))
