"""Every question that is put to the tables, as a function of an open connection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from services.status.cursors import OrderCursor, TimeCursor
from services.status.filters import OrderFilter, TaskFilter, statuses_of
from services.status.rows import order_of, step_of, task_of
from services.status.tables import execution_steps, workflow_executions
from services.status.tables import orders as ledger
from shared.domain.execution_records import StepState
from shared.domain.phases import Phase, Status, status
from shared.domain.priority import Priority
from shared.domain.views import OrderView, StepView, TaskView

COUNT_LIMIT = 1_000
"""Where counting those ahead in the queue stops: the exact number above it helps nobody."""


ENDED_LIMIT = 100_000
"""Where counting tasks that have ended stops."""

_ENDED = [str(status(phase)) for phase in Phase if phase.ended]
_LIVE = [str(each) for each in Status if str(each) not in _ENDED]


class LiveRow(NamedTuple):
    """A task that has not ended: how many events of it are projected, and what it is sorted by."""

    task_id: UUID
    version: int
    submitted_at: datetime


class Ahead(NamedTuple):
    """How many queued tasks of a level are before one; at most COUNT_LIMIT + 1, which means more than that."""

    priority: Priority
    number: int


def task(connection: sa.Connection, task_id: UUID) -> TaskView | None:
    """Return one task, or None when it is not projected."""
    t = workflow_executions
    row = connection.execute(sa.select(t).where(t.c.task_id == task_id)).mappings().first()
    return None if row is None else task_of(row)


def tasks(connection: sa.Connection, wanted: TaskFilter, after: TimeCursor | None) -> list[TaskView]:
    """Return up to `wanted.limit + 1` tasks, newest first: one more tells that there is a next page."""
    t = workflow_executions
    statement = sa.select(t).where(*_conditions(wanted)).order_by(t.c.submitted_at.desc(), t.c.task_id.desc())
    if after is not None:
        statement = statement.where(sa.tuple_(t.c.submitted_at, t.c.task_id) < sa.tuple_(*after))
    return [task_of(row) for row in connection.execute(statement.limit(wanted.limit + 1)).mappings()]


def live_tasks(connection: sa.Connection, wanted: TaskFilter, after: TimeCursor | None) -> list[LiveRow]:
    """Return up to `wanted.limit + 1` tasks that have not ended, newest first."""
    c = workflow_executions.c
    statement = sa.select(c.task_id, c.version, c.submitted_at).where(*_conditions(wanted), c.status.in_(_LIVE))
    if after is not None:
        statement = statement.where(sa.tuple_(c.submitted_at, c.task_id) < sa.tuple_(*after))
    statement = statement.order_by(c.submitted_at.desc(), c.task_id.desc()).limit(wanted.limit + 1)
    return [LiveRow(*row) for row in connection.execute(statement)]


def count_ended(connection: sa.Connection, wanted: TaskFilter) -> int:
    """Return how many tasks that have ended meet the conditions; at most ENDED_LIMIT."""
    found = sa.select(sa.literal(1)).where(*_conditions(wanted), workflow_executions.c.status.in_(_ENDED))
    return int(connection.scalar(sa.select(sa.func.count()).select_from(found.limit(ENDED_LIMIT).subquery())) or 0)


def _conditions(wanted: TaskFilter) -> list[sa.ColumnElement[bool]]:
    c = workflow_executions.c
    conditions: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (c.status, wanted.status),
        (c.strategy_id, wanted.strategy_id),
        (c.user_id, wanted.user_id),
        (c.priority, wanted.priority),
        (c.schedule_id, wanted.schedule_id),
    ):
        if value is not None:
            conditions.append(column == str(value))
    if wanted.state is not None:
        conditions.append(c.status.in_([str(status) for status in statuses_of(wanted.state)]))
    if wanted.symbol is not None:
        conditions.append(c.symbols.contains([wanted.symbol]))
    for key, values in wanted.labels.items():
        conditions.extend(c.labels.contains({key: value}) for value in values)
    if wanted.since is not None:
        conditions.append(c.submitted_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(c.submitted_at < wanted.until)
    return conditions


def steps(connection: sa.Connection, task_id: UUID, *, after: int, limit: int) -> list[StepView]:
    """Return up to `limit` steps of a task whose index is greater than `after`, in the order in which they run."""
    t = execution_steps
    statement = sa.select(t).where(t.c.task_id == task_id, t.c.index > after).order_by(t.c.index).limit(limit)
    return [step_of(row) for row in connection.execute(statement).mappings()]


def orders(connection: sa.Connection, wanted: OrderFilter, after: OrderCursor | None) -> list[OrderView]:
    """Return up to `wanted.limit + 1` orders, newest first: one more tells that there is a next page."""
    c = ledger.c
    statement = sa.select(ledger).order_by(c.requested_at.desc(), c.client_order_id.desc())
    for column, value in ((c.task_id, wanted.task_id), (c.symbol, wanted.symbol)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.state is not None:
        statement = statement.where(c.state == str(wanted.state))
    if after is not None:
        statement = statement.where(sa.tuple_(c.requested_at, c.client_order_id) < sa.tuple_(*after))
    return [order_of(row) for row in connection.execute(statement.limit(wanted.limit + 1)).mappings()]


def retrying_step(connection: sa.Connection, task_id: UUID) -> StepView | None:
    """Return the step whose retry a task waits for."""
    t = execution_steps
    statement = sa.select(t).where(t.c.task_id == task_id, t.c.state == str(StepState.RETRYING)).order_by(t.c.index)
    row = connection.execute(statement).mappings().first()
    return None if row is None else step_of(row)


def priorities(connection: sa.Connection, task_ids: Sequence[UUID]) -> list[Priority]:
    """Return the levels of those of the tasks that are projected; in no order."""
    c = workflow_executions.c
    return [Priority(found) for found in connection.scalars(sa.select(c.priority).where(c.task_id.in_(task_ids)))]


def ahead(connection: sa.Connection, view: TaskView) -> list[Ahead]:
    """Return how many queued tasks are before a queued one: all of higher levels, and the earlier ones of its own.

    Those that their schedules hold wait for no worker, and are before nobody.
    """
    levels = [level for level in Priority if level.rank <= view.priority.rank]
    counts: Sequence[Any] = connection.execute(sa.select(*(_count_queued(level, view) for level in levels))).one()
    return [Ahead(level, count) for level, count in zip(levels, counts, strict=True)]


def _count_queued(level: Priority, view: TaskView) -> sa.ScalarSelect[int]:
    c = workflow_executions.c
    # Written out, not bound: the partial index is only considered for a literal.
    queued = c.status == sa.literal_column(f"'{Status.QUEUED}'")
    found = sa.select(sa.literal(1)).where(queued, ~c.held, c.priority == str(level))
    if level is view.priority:
        own = sa.tuple_(sa.literal(view.submitted_at), sa.literal(UUID(view.task_id)))
        found = found.where(sa.tuple_(c.submitted_at, c.task_id) < own)
    return sa.select(sa.func.count()).select_from(found.limit(COUNT_LIMIT + 1).subquery()).scalar_subquery()
