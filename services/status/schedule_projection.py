"""What the projector makes of the events of schedules: the fold of each, and its history, a row an event.

A fold lives for one batch. It is taken from the row that an earlier batch has written of it, so that a stream without
an end is never read again, and memory does not grow with the number of schedules.
"""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from services.status.schedule_rows import history_row, schedule_row
from services.status.tables import schedule_history, schedules, upsert
from shared.domain.events import EVENTS
from shared.domain.schedule import Schedule
from shared.domain.schedule_state import ScheduleState
from shared.log.runs import Recorded
from shared.log.schedules import decode_snapshot, folded_schedule

TOPICS = tuple(topic for topic in EVENTS.topics if topic.startswith(f"{Schedule.TOPIC}."))
"""Every event of a schedule."""


def project(connection: sa.Connection, batch: Sequence[Recorded]) -> None:
    """Write what a batch of schedules' events has changed, in the caller's transaction.

    Whoever else writes these rows must wait for its end. Raises NotFound for a schedule that was never created.
    """
    if not batch:
        return
    by_schedule: dict[UUID, list[Recorded]] = {}
    for each in batch:
        by_schedule.setdefault(each.event.originator_id, []).append(each)
    known = _states(connection, list(by_schedule))
    rows = []
    for schedule_id, recorded in by_schedule.items():
        schedule = folded_schedule(schedule_id, known.get(schedule_id), (each.event for each in recorded))
        rows.append(schedule_row(schedule.state, recorded[-1].position))
    connection.execute(_UPSERT_SCHEDULES, rows)
    connection.execute(_UPSERT_HISTORY, [history_row(recorded) for recorded in batch])


def _states(connection: sa.Connection, schedule_ids: Sequence[UUID]) -> dict[UUID, ScheduleState]:
    c = schedules.c
    statement = sa.select(c.schedule_id, c.state).where(c.schedule_id.in_(schedule_ids))
    return {schedule_id: decode_snapshot(text) for schedule_id, text in connection.execute(statement)}


_UPSERT_SCHEDULES = upsert(schedules)
_UPSERT_HISTORY = upsert(schedule_history)
