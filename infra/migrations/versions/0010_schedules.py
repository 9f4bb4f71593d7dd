"""Schedules: their snapshots beside the log, how far beat has come, what the status service tells of them.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.schema import CreateSchema, DropSchema

revision = "0010"
down_revision = "0009"

QUEUED = "status = 'queued'"


def upgrade() -> None:
    _upgrade_log_and_scheduler()
    _upgrade_workflow_executions()
    _create_schedules()
    _create_schedule_history()


def _upgrade_log_and_scheduler() -> None:
    forced = sa.Column("forced", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("live_runs", forced, schema="executor")
    op.create_table(
        "schedule_snapshots",
        sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        schema="log",
    )
    op.execute(CreateSchema("scheduler"))
    op.create_table(
        "positions",
        sa.Column("follower", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="scheduler",
    )


def _upgrade_workflow_executions() -> None:
    # The new columns are made of the log: the projector starts again from its beginning.
    op.execute("TRUNCATE status.workflow_executions, status.execution_steps, status.orders, status.positions")
    for column in (_time("scheduled_at"), sa.Column("held", sa.Boolean, nullable=False)):
        op.add_column("workflow_executions", column, schema="status")
    _index_queue(f"{QUEUED} AND NOT held")


def _index_queue(where: str) -> None:
    name, table, columns = "workflow_executions_queue", "workflow_executions", ["priority", "submitted_at", "task_id"]
    op.drop_index(name, table, schema="status")
    op.create_index(name, table, columns, schema="status", postgresql_where=sa.text(where))


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        _time("created_at", nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="status",
    )
    for name, columns in (("newest", ()), ("by_strategy", ("strategy_id",)), ("by_user", ("user_id",))):
        keys = [*columns, "created_at", "schedule_id"]
        living = sa.text("NOT deleted")
        op.create_index(f"schedules_{name}", "schedules", keys, schema="status", postgresql_where=living)


def _create_schedule_history() -> None:
    op.create_table(
        "schedule_history",
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
        schema="status",
    )


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def downgrade() -> None:
    for table in ("schedule_history", "schedules"):
        op.drop_table(table, schema="status")
    _index_queue(QUEUED)
    for name in ("scheduled_at", "held"):
        op.drop_column("workflow_executions", name, schema="status")
    op.execute(DropSchema("scheduler", cascade=True))
    op.drop_table("schedule_snapshots", schema="log")
    op.drop_column("live_runs", "forced", schema="executor")
