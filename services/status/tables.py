"""What queries read: one row a run, a step and symbol, an order, a schedule and what happened to it, a queue, a
clean-up, an alert, a webhook, and a user who says how to be told of things; what metrics are summed up from; and how
far the projector has come.

Nested values are `json`, not `jsonb`: they come back to the letter, and text with a NUL character, which `jsonb`
refuses, can be stored. Labels are `jsonb` because queries look into them. A schedule's fold is text: it is only ever
read whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID, insert

from shared.domain.failures import NEEDS_ATTENTION
from shared.log.positions import positions_table

metadata = sa.MetaData(schema="status")

positions = positions_table(metadata)


def _document(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, JSON(none_as_null=True), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


workflow_executions = sa.Table(
    "workflow_executions",
    metadata,
    sa.Column("task_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("symbols", ARRAY(sa.Text), nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("labels", JSONB, nullable=False),
    _document("parameters", nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False),
    _document("progress", nullable=False),
    _document("result"),
    _time("result_expires_at"),
    _document("partial_result"),
    _document("late_orders"),
    _document("error"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("max_retries", sa.Integer, nullable=False),
    _time("next_retry_at"),
    sa.Column("preemptions", sa.Integer, nullable=False),
    sa.Column("preempted_by", sa.Text),
    _time("preempted_at"),
    _time("submitted_at", nullable=False),
    _time("waiting_since"),
    _time("started_at"),
    _time("finished_at"),
    sa.Column("duration_seconds", sa.Double),
    sa.Column("worker", sa.Text),
    sa.Column("schedule_id", sa.Text),
    _time("scheduled_at"),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("parent_task_id", sa.Text),
    sa.Column("trace_id", sa.Text),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a run: the fields of `TaskView`, and the log position of the last event in it."""


def _newest_first(name: str, *columns: str, where: str | None = None) -> sa.Index:
    """Return an index for one filter, in the order in which tasks are listed (read backwards)."""
    c = workflow_executions.c
    condition = sa.text(where) if where else None
    return sa.Index(name, *(c[column] for column in (*columns, "submitted_at", "task_id")), postgresql_where=condition)


_newest_first("workflow_executions_newest")
_newest_first("workflow_executions_by_status", "status")
_newest_first("workflow_executions_by_strategy", "strategy_id")
_newest_first("workflow_executions_by_user", "user_id")
_newest_first("workflow_executions_by_schedule", "schedule_id", where="schedule_id IS NOT NULL")
_newest_first("workflow_executions_queue", "priority", where="status = 'queued' AND NOT held")
sa.Index(
    "workflow_executions_waiting",
    workflow_executions.c.priority,
    workflow_executions.c.waiting_since,
    postgresql_where=sa.text("waiting_since IS NOT NULL"),
)
sa.Index(
    "workflow_executions_failed",
    workflow_executions.c.finished_at,
    workflow_executions.c.strategy_id,
    postgresql_where=sa.text("status = 'failed'"),
)
NEEDING_ATTENTION = sa.text(f"status = 'failed' AND error::text LIKE '{{\"type\"\\:\"{NEEDS_ATTENTION}\"%'")
"""Of failed runs those with an order that nobody knows the fate of. The text is looked at, which begins with the type:
what `->>` looks into must not have a NUL character, and an error's message may."""

sa.Index(
    "workflow_executions_needing_attention",
    workflow_executions.c.strategy_id,
    postgresql_where=NEEDING_ATTENTION,
)
sa.Index("workflow_executions_by_symbol", workflow_executions.c.symbols, postgresql_using="gin")
sa.Index(
    "workflow_executions_by_label",
    workflow_executions.c.labels,
    postgresql_using="gin",
    postgresql_ops={"labels": "jsonb_path_ops"},
)

execution_steps = sa.Table(
    "execution_steps",
    metadata,
    sa.Column("task_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    _time("started_at"),
    _time("finished_at"),
    sa.Column("duration_seconds", sa.Double),
    sa.Column("worker", sa.Text),
    _document("output"),
    _document("error"),
)
"""One row a step and symbol of a run's plan, in the order in which they run: the fields of `StepView`."""


orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("task_id", UUID(as_uuid=True), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("step_symbol", sa.Text),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("quantity", sa.Text, nullable=False),
    sa.Column("limit_price", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("venue_order_id", sa.Text),
    sa.Column("filled_quantity", sa.Text, nullable=False),
    sa.Column("average_price", sa.Text),
    sa.Column("fees", sa.Text),
    _time("requested_at", nullable=False),
    _time("submitted_at"),
    _time("filled_at"),
    sa.Column("reason", sa.Text),
)
"""One row an order of the ledger: the fields of `OrderView`."""

for _name, _columns in (
    ("newest", ()),
    ("by_task", ("task_id",)),
    ("by_symbol", ("symbol",)),
    ("by_state", ("state",)),
):
    sa.Index(f"orders_{_name}", *(orders.c[each] for each in (*_columns, "requested_at", "client_order_id")))

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    _time("created_at", nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a schedule: its fold as JSON, what queries look for in it, and the log position of the last event in it."""

for _name, _columns in (("newest", ()), ("by_strategy", ("strategy_id",)), ("by_user", ("user_id",))):
    sa.Index(
        f"schedules_{_name}",
        *(schedules.c[each] for each in (*_columns, "created_at", "schedule_id")),
        postgresql_where=sa.text("NOT deleted"),
    )

schedule_history = sa.Table(
    "schedule_history",
    metadata,
    sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    _time("at", nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("kind", sa.Text),
    _time("nominal_at"),
    _time("last_at"),
    sa.Column("request_id", UUID(as_uuid=True)),
    sa.Column("task_id", UUID(as_uuid=True)),
    sa.Column("reason", sa.Text),
    sa.Column("running_task_id", UUID(as_uuid=True)),
    sa.Column("count", sa.Integer),
    sa.Column("actor", sa.Text, nullable=False),
)
"""One row an event of a schedule. Its key is also the index by which a history is read, newest first."""

sa.Index("schedule_history_missed", schedule_history.c.at, postgresql_where=sa.text("type = 'missed'"))

queues = sa.Table(
    "queues",
    metadata,
    sa.Column("priority", sa.Text, primary_key=True),
    sa.Column("paused", sa.Boolean, nullable=False),
    _time("changed_at", nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a level that was ever paused: what happened to it last, and the log position of that."""

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "subject", "severity", "summary")),
    sa.Column("value", sa.Double),
    sa.Column("threshold", sa.Double),
    _time("since", nullable=False),
    _time("resolved_at"),
    sa.Column("resolution", sa.Text),
    _time("acknowledged_at"),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("occurrences", sa.Integer, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)
"""One row an alert that was ever raised: the fields of `Alert`."""

sa.Index("alerts_newest", alerts.c.since, alerts.c.id)

cleanups = sa.Table(
    "cleanups",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    _time("started_at", nullable=False),
    _time("finished_at", nullable=False),
    _document("kinds", nullable=False),
)
"""One row a clean-up, by the log position of its end, with what it did of each kind."""


metric_tasks = sa.Table(
    "metric_tasks",
    metadata,
    sa.Column("priority", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""How many tasks there are of each level in each status; all statuses of a level that ever had a task."""


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


metric_minutes = sa.Table(
    "metric_minutes",
    metadata,
    sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("strategy_id", sa.Text, primary_key=True),
    sa.Column("priority", sa.Text, primary_key=True),
    *(
        _count(name)
        for name in ("submitted", "started", "completed", "failed", "cancelled", "retried", "preempted", "waited")
    ),
    _count("duration_microseconds"),
    _count("waiting_microseconds"),
)
"""What the events of a minute told, by their own times, of a strategy and level; in minute 0 of 1970, of all time.

Whole numbers, so that sums are the same however the events were cut into batches.
"""

metric_buckets = sa.Table(
    "metric_buckets",
    metadata,
    sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("strategy_id", sa.Text, primary_key=True),
    sa.Column("priority", sa.Text, primary_key=True),
    sa.Column("figure", sa.Text, primary_key=True),
    sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
    _count("count"),
)
"""How many times of a minute fell into a bucket of `services.status.buckets`; `figure` is `duration` or `waiting`."""


webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("webhook_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    _time("created_at", nullable=False),
    sa.Column("created_position", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a webhook: its fold as JSON, and the log positions of its first and its last event."""

sa.Index("webhooks_newest", webhooks.c.created_at, webhooks.c.webhook_id, postgresql_where=sa.text("NOT deleted"))

notification_preferences = sa.Table(
    "notification_preferences",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("preferences", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a user who has said anything: the newest event of their preferences, as the log has it, and its position."""


def columns(table: sa.Table) -> Sequence[str]:
    """Return the names of a table's columns, as plain strings and not as SQLAlchemy's subclass."""
    return [str(column.name) for column in table.columns]


def upsert(table: sa.Table) -> sa.Executable:
    """Return the statement that writes rows in place of those with the same key."""
    keys = [column.name for column in table.primary_key]
    row = insert(table)
    changes = {name: row.excluded[name] for name in columns(table) if name not in keys}
    return row.on_conflict_do_update(index_elements=keys, set_=changes)


def add(table: sa.Table) -> sa.Executable:
    """Return the statement that adds numbers to those in the rows with the same key.

    It takes an array for each column, and so any number of rows at once, one for each key.
    """
    keys = [column.name for column in table.primary_key]
    arrays = (sa.bindparam(str(each.name), type_=ARRAY(each.type)) for each in table.columns)
    given = sa.func.unnest(*arrays).table_valued(*columns(table)).render_derived(name="given")
    row = insert(table).from_select(columns(table), sa.select(*given.c))
    changes = {name: table.c[name] + row.excluded[name] for name in columns(table) if name not in keys}
    return row.on_conflict_do_update(index_elements=keys, set_=changes)


def arrays_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as `add` takes them; at least one."""
    return {name: [row[name] for row in rows] for name in rows[0]}
