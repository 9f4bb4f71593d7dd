"""Why a task is not running: what the tables, the log and the heartbeats of workers know of it.

Without Redis the answer says less; it never fails for it.
"""

from datetime import datetime
from uuid import UUID

from services.status import queries, queues, schedule_queries
from services.status.reasons import (
    busy_reason,
    held_reason,
    limit_reason,
    no_worker_reason,
    paused_reason,
    queued_reason,
    retry_reason,
)
from services.status.resources import Resources
from services.status.workers import Workers
from shared.documents import default_reason, preempted_reason
from shared.domain.execution_events import Submitted
from shared.domain.phases import Status
from shared.domain.views import TaskView
from shared.routing import level_queue


async def reason(resources: Resources, view: TaskView) -> str | None:
    """Return the sentence, None for a task that runs or has ended."""
    match view.status:
        case Status.QUEUED if view.held:
            return await _held(resources, view) or default_reason(view)
        case Status.QUEUED:
            return await _queued(resources, view)
        case Status.RETRYING:
            told = await _retrying(resources, view) or default_reason(view)
            return await _with_workers(resources, view, told) if view.next_retry_at is None else told
        case Status.PREEMPTED:
            return await _with_workers(resources, view, await _preempted(resources, view))
        case _:
            return None


async def _held(resources: Resources, view: TaskView) -> str | None:
    try:
        schedule_id = UUID(view.schedule_id or "")
    except ValueError:
        return None
    state = await resources.tables.ask(schedule_queries.schedule, schedule_id)
    return held_reason(state, UUID(view.task_id)) if state else None


async def _queued(resources: Resources, view: TaskView) -> str | None:
    pauses = await resources.tables.ask(queues.pauses)
    if view.priority in pauses:
        return f"waiting: {paused_reason(view.priority, pauses[view.priority])}"
    if (limited := await _limited(resources, view)) is not None:
        return limited
    workers = await _workers(resources, view)
    if workers is not None and not workers.slots:
        return _no_worker(view, since=None if view.attempts else view.submitted_at)
    levels = await resources.tables.ask(queries.ahead, view)
    ahead = queued_reason([level for level in levels if level.priority not in pauses])
    if ahead is not None or workers is None or not workers.are_busy or view.attempts:
        return ahead or default_reason(view)
    taken = await resources.tables.ask(queries.priorities, workers.active)
    return busy_reason(workers.slots, lower=sum(other.rank > view.priority.rank for other in taken))


async def _limited(resources: Resources, view: TaskView) -> str | None:
    full = await resources.heartbeats.full_limits()
    submitted = await _submitted(resources, view) if full else None
    limits = submitted.limits if submitted else {}
    return limit_reason({key: most for key, most in limits.items() if key in full})


async def _submitted(resources: Resources, view: TaskView) -> Submitted | None:
    recorded = await resources.log.streams([UUID(view.task_id)], limit=1)
    event = recorded[0].event if recorded else None
    return event if isinstance(event, Submitted) else None


async def _retrying(resources: Resources, view: TaskView) -> str | None:
    step = await resources.tables.ask(queries.retrying_step, UUID(view.task_id))
    submitted = await _submitted(resources, view)
    if step is None or submitted is None:
        return None
    return retry_reason(step, submitted.steps, max_retries=view.max_retries, next_retry_at=view.next_retry_at)


async def _preempted(resources: Resources, view: TaskView) -> str:
    try:
        other = [UUID(view.preempted_by)] if view.preempted_by else []
    except ValueError:
        other = []
    found = await resources.tables.ask(queries.priorities, other)
    return preempted_reason(view, priority=found[0] if found else None)


async def _with_workers(resources: Resources, view: TaskView, told: str | None) -> str | None:
    """Return what was told, and that its queue is paused or no worker is there if so."""
    if told is not None and (paused := await _paused(resources, view)) is not None:
        return f"{told}; {paused}"
    workers = await _workers(resources, view)
    if told is None or workers is None or workers.slots:
        return told
    return f"{told}; {_no_worker(view)}"


async def _paused(resources: Resources, view: TaskView) -> str | None:
    pause = (await resources.tables.ask(queues.pauses)).get(view.priority)
    return None if pause is None else paused_reason(view.priority, pause)


async def _workers(resources: Resources, view: TaskView) -> Workers | None:
    return await resources.heartbeats.workers(_queue(view))


def _no_worker(view: TaskView, since: datetime | None = None) -> str:
    return no_worker_reason(view.priority, _queue(view), since=since)


def _queue(view: TaskView) -> str:
    """Return where a task waits: one that lost its worker or made way goes before the others of its level."""
    return level_queue(view.priority, resumed=view.attempts > 0 and view.status is not Status.RETRYING)
