"""A schedule as the log has it: a snapshot, which a stream without an end needs, and the events since then.

Snapshots stand beside the log and are made of it: the scheduler writes them as it follows, and whoever finds none, or
one of another format, folds the stream from its beginning.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from shared.domain.errors import NotFound
from shared.domain.events import Event
from shared.domain.schedule import Schedule, fold
from shared.domain.schedule_state import ScheduleState

FORMAT = 1
"""Of snapshots: to be counted up whenever the same events fold to another state, so that older ones are left alone."""

SNAPSHOT = "SELECT state::text FROM log.schedule_snapshots WHERE schedule_id = %s AND format = %s"


def encode_snapshot(state: ScheduleState) -> str:
    """Return a state as JSON text."""
    return msgspec.json.encode(state).decode()


def decode_snapshot(text: bytes | str) -> ScheduleState:
    """Return the state that `encode_snapshot` was given."""
    return msgspec.json.decode(text, type=ScheduleState)


def folded_schedule(schedule_id: UUID, known: ScheduleState | None, events: Iterable[Event]) -> Schedule:
    """Return the schedule that a snapshot and the events after it tell of. Raises NotFound."""
    schedule = fold(None if known is None else Schedule(known), events)
    if schedule is None or schedule.id != schedule_id:
        raise schedule_not_found(schedule_id)
    return schedule


def schedule_not_found(schedule_id: UUID | str) -> NotFound:
    """Return the error for a schedule that the log does not know."""
    return NotFound(
        "schedule", f"There is no schedule {schedule_id}; check the id, or list schedules with GET /api/schedules."
    )
