"""Between schedules, or what happens to them, and the rows of the tables."""

from typing import Any

from services.status.tables import columns, schedule_history
from shared.domain import schedule_events as happened
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind
from shared.domain.schedule_state import ScheduleState
from shared.log.runs import Recorded
from shared.log.schedules import encode_snapshot

_PREFIX = f"{Schedule.TOPIC}."
_NOTHING = dict.fromkeys(columns(schedule_history))


def schedule_row(state: ScheduleState, position: int) -> dict[str, Any]:
    """Return the row of a schedule whose last event stands at `position`."""
    return {
        "schedule_id": state.id,
        "name": _storable(state.definition.name),
        "strategy_id": _storable(state.definition.strategy_id),
        "user_id": _storable(state.user_id),
        "enabled": state.enabled,
        "deleted": state.deleted_at is not None,
        "created_at": state.created_at,
        "state": encode_snapshot(state),
        "position": position,
    }


def history_row(recorded: Recorded) -> dict[str, Any]:
    """Return the row of one event of a schedule.

    Of missed times, and of those that a backfill asks for, `nominal_at` is the first and `last_at` the last. A
    backfill's id is the `request_id`, as it is that of its firings.
    """
    position, event = recorded
    row = _NOTHING | {
        "schedule_id": event.originator_id,
        "position": position,
        "at": event.at,
        "type": event.TOPIC.removeprefix(_PREFIX),
        "actor": _storable(event.actor),
    }
    match event:
        case happened.FiringEvent(kind=kind, nominal_at=nominal_at, request_id=request_id):
            row |= {"kind": str(kind), "nominal_at": nominal_at, "request_id": request_id} | _outcome(event)
        case happened.ScheduleMissed(first_at=first_at, last_at=last_at, count=count):
            row |= {"kind": str(FiringKind.SCHEDULE), "nominal_at": first_at, "last_at": last_at, "count": count}
        case happened.BackfillRequested(backfill_id=backfill_id, start=start, end=end, count=count):
            row |= {"nominal_at": start, "last_at": end, "count": count} | _of_backfill(backfill_id)
        case happened.BackfillFinished(backfill_id=backfill_id):
            row |= _of_backfill(backfill_id)
        case happened.BufferReleased(task_id=task_id) | happened.RunReturned(task_id=task_id):
            row["task_id"] = task_id
        case happened.ScheduleDisabled(reason=str(reason)):
            row["reason"] = _storable(reason)
    return row


def _outcome(event: happened.FiringEvent) -> dict[str, Any]:
    match event:
        case happened.ScheduleFired(task_id=task_id) | happened.ScheduleBuffered(task_id=task_id):
            return {"task_id": task_id}
        case happened.ScheduleSkipped(reason=reason, running=running):
            return {"reason": str(reason), "running_task_id": running}
    raise AssertionError(f"unknown firing {event!r}")


def _of_backfill(backfill_id: object) -> dict[str, Any]:
    return {"kind": str(FiringKind.BACKFILL), "request_id": backfill_id}


def _storable(text: str) -> str:
    """Return text without NUL characters: PostgreSQL has none, and one bad name must not stop all projections."""
    return text.replace("\0", "\ufffd")
