"""Every question about schedules that is put to the tables, as a function of an open connection."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.status.cursors import TimeCursor
from services.status.filters import ScheduleFilter
from services.status.tables import columns, schedule_history, workflow_executions
from services.status.tables import schedules as kept
from shared.domain.schedule_state import ScheduleState
from shared.log.schedules import decode_snapshot

_HISTORY_FIELDS = [name for name in columns(schedule_history) if name != "schedule_id"]


class ScheduleRow(NamedTuple):
    """A schedule's fold as JSON, to the letter, and what schedules are sorted by."""

    created_at: datetime
    schedule_id: UUID
    state: msgspec.Raw


def schedules(connection: sa.Connection, wanted: ScheduleFilter, after: TimeCursor | None) -> list[ScheduleRow]:
    """Return up to `wanted.limit + 1` schedules that are not deleted, newest first."""
    c = kept.c
    statement = sa.select(c.created_at, c.schedule_id, c.state).where(~c.deleted)
    for column, value in (
        (c.strategy_id, wanted.strategy_id),
        (c.user_id, wanted.user_id),
        (c.enabled, wanted.enabled),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if after is not None:
        statement = statement.where(sa.tuple_(c.created_at, c.schedule_id) < sa.tuple_(*after))
    statement = statement.order_by(c.created_at.desc(), c.schedule_id.desc()).limit(wanted.limit + 1)
    return [
        ScheduleRow(created_at, schedule_id, msgspec.Raw(state.encode()))
        for created_at, schedule_id, state in connection.execute(statement)
    ]


def schedule(connection: sa.Connection, schedule_id: UUID) -> ScheduleState | None:
    """Return one schedule, deleted or not, or None when it is not projected."""
    state = connection.scalar(sa.select(kept.c.state).where(kept.c.schedule_id == schedule_id))
    return None if state is None else decode_snapshot(state)


def history(connection: sa.Connection, schedule_id: UUID, *, before: int, limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` of what happened to a schedule before a position, newest first, with the state of runs."""
    h, run = schedule_history.c, workflow_executions.c
    statement = (
        sa.select(
            *(h[name] for name in _HISTORY_FIELDS), run.state.label("task_state"), run.status.label("task_status")
        )
        .join_from(schedule_history, workflow_executions, h.task_id == run.task_id, isouter=True)
        .where(h.schedule_id == schedule_id, h.position < before)
        .order_by(h.position.desc())
    )
    return [dict(row) for row in connection.execute(statement.limit(limit)).mappings()]
