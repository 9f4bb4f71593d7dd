"""The Celery task that runs workflows: a thin edge around the runner."""

from typing import Any
from uuid import UUID

from celery import Task, shared_task
from opentelemetry.trace import SpanKind

from services.executor import process
from services.executor.pointers import TRACE_HEADER
from services.executor.queues import BRANCH, RUN
from shared.telemetry import TASK_ID, span

ATTEMPT = "blotter.attempt"


@shared_task(name=RUN, bind=True, ignore_result=True)
def run(self: "Task[Any, None]", /, *, task_id: str, attempt: int, **shown: Any) -> None:
    """Run the task that the pointer names; `shown` is for people who look at the queue, the log is what counts."""
    parent = (self.request.headers or {}).get(TRACE_HEADER)
    process.clock().adjust()
    with span("attempt", parent=parent, kind=SpanKind.CONSUMER, attributes={TASK_ID: task_id, ATTEMPT: attempt}):
        process.runner().run(UUID(task_id), attempt, worker=str(self.request.hostname))


@shared_task(name=BRANCH, bind=True, ignore_result=True)
def branch(self: "Task[Any, None]", /, *, task_id: str, attempt: int, branch: dict[str, Any], **shown: Any) -> None:
    """Run the member of a stage that the pointer names."""
    parent = (self.request.headers or {}).get(TRACE_HEADER)
    process.clock().adjust()
    with span("attempt", parent=parent, kind=SpanKind.CONSUMER, attributes=_of_branch(task_id, attempt, branch)):
        process.branch_runner().run(
            UUID(task_id),
            opening=branch["opening"],
            step=branch["step"],
            symbol=branch["symbol"],
            attempt=attempt,
            worker=str(self.request.hostname),
        )


def _of_branch(task_id: str, attempt: int, branch: dict[str, Any]) -> dict[str, str | int]:
    symbol = {"blotter.symbol": branch["symbol"]} if branch["symbol"] is not None else {}
    return {TASK_ID: task_id, ATTEMPT: attempt, "blotter.step": branch["step"], **symbol}
