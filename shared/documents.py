"""The JSON documents of the public API for tasks, steps and events, from views and records.

The status service and the gateway's fallback both answer with these, so that they cannot differ.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.domain.outputs import Output, OutputKind
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.domain.views import OrderView, StepView, TaskView, trace_id
from shared.log.runs import Recorded
from shared.objects.store import ObjectCorrupt, ObjectMissing, ObjectStore, StoreUnavailable

METADATA = ("originator_id", "originator_version", "at", "actor", "append_id", "trace")


def task_document(view: TaskView, *, now: datetime, objects: ObjectStore, reason: str | None = None) -> dict[str, Any]:
    """Return a task as `GET /api/tasks/{task_id}` answers it at `now`.

    After its time to live the result is left out and `result_expired` says so; everything else stays. A result that
    the object store has lost, or cannot give now, must not hide its task: `result_error` then says what to do.
    """
    document: dict[str, Any] = msgspec.to_builtins(view)
    del document["late_orders"]
    expired = view.result_expires_at is not None and now >= view.result_expires_at
    document |= {"result": None, "result_expired": expired, "result_error": None}
    if view.result is not None and not expired:
        try:
            document["result"] = result_document(view.result, view.late_orders, objects)
        except (ObjectMissing, ObjectCorrupt, StoreUnavailable) as error:
            document["result_error"] = error.detail
    document["reason"] = reason or default_reason(view)
    return document


def result_document(result: Output, late_orders: Sequence[dict[str, Any]] | None, objects: ObjectStore) -> Any:
    """Return a run's result, with its orders as the ledger has them by now.

    Raises ObjectMissing or ObjectCorrupt.
    """
    document = plain_value(result, objects)
    return document if late_orders is None else document | {"orders": list(late_orders)}


def default_reason(view: TaskView) -> str | None:
    """Return why a task does not run, as far as its own record tells."""
    match view.status:
        case Status.QUEUED if view.held:
            return "its schedule holds it until the run before it has ended"
        case Status.QUEUED if view.attempts and view.worker is not None:
            return f"lost its worker {view.worker}; goes on where it was on the next free one"
        case Status.QUEUED:
            return "waiting for a free worker"
        case Status.RETRYING if view.next_retry_at is not None:
            return f"failed, and is tried again at {view.next_retry_at:%Y-%m-%dT%H:%M:%SZ}"
        case Status.RETRYING:
            return "its retry is due; waiting for a free worker"
        case Status.PREEMPTED:
            return preempted_reason(view)
        case _:
            return None


def preempted_reason(view: TaskView, *, priority: Priority | None = None) -> str:
    """Return for whom and when a task made way, and what comes next; `priority` is that of the other, if known."""
    other = f"{priority}-priority task" if priority else "task"
    at = f" at {view.preempted_at:%Y-%m-%dT%H:%M:%SZ}" if view.preempted_at else ""
    times = f", for the {_ordinal(view.preemptions)} time" if view.preemptions > 1 else ""
    return (
        f"preempted by {other} {view.preempted_by}{at}{times}; resumes from its checkpoint as soon as a worker is free"
    )


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def step_document(view: StepView) -> dict[str, Any]:
    """Return a row of `GET /api/tasks/{task_id}/steps`; an output that is not JSON is its reference."""
    document: dict[str, Any] = msgspec.to_builtins(view)
    output = view.output
    if output is not None:
        document["output"] = msgspec.to_builtins(output.ref) if output.ref else output.inline
    return document


def order_document(view: OrderView) -> dict[str, Any]:
    """Return a row of `GET /api/orders`."""
    document: dict[str, Any] = msgspec.to_builtins(view)
    return document


def event_document(recorded: Recorded) -> dict[str, Any]:
    """Return an event as `GET /api/tasks/{task_id}/events` lists it; `data` is the event without its metadata."""
    event = recorded.event
    data = msgspec.to_builtins(event)
    for field in METADATA:
        data.pop(field, None)
    return {
        "position": recorded.position,
        "stream": str(event.originator_id),
        "version": event.originator_version,
        "type": event.TOPIC,
        "at": msgspec.to_builtins(event.at),
        "actor": event.actor,
        "data": data,
        "trace_id": trace_id(event.trace),
    }


def plain_value(output: Output, objects: ObjectStore) -> Any:
    """Return the JSON value of `output`, fetched from the object store when it is there."""
    if output.ref is None:
        return output.inline
    if output.kind is not OutputKind.JSON:
        return msgspec.to_builtins(output.ref)
    return msgspec.json.decode(objects.get(output.ref))
