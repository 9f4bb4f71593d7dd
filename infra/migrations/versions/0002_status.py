"""The tables that queries read.

Revision ID: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID

revision = "0002"
down_revision = "0001"

SCHEMA = "status"
RUNS = "workflow_executions"
NEWEST_FIRST = ("submitted_at", "task_id")


def upgrade() -> None:
    op.execute(f"CREATE SCHEMA {SCHEMA}")
    _create_positions()
    _create_workflow_executions()
    _index_workflow_executions()
    _create_execution_steps()


def downgrade() -> None:
    # Nothing is lost: the log can make these tables anew.
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("follower", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def _create_workflow_executions() -> None:
    op.create_table(
        RUNS,
        sa.Column("task_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("symbols", ARRAY(sa.Text), nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("result", JSON),
        _time("result_expires_at"),
        sa.Column("partial_result", JSON),
        sa.Column("error", JSON),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("max_retries", sa.Integer, nullable=False),
        _time("next_retry_at"),
        sa.Column("preemptions", sa.Integer, nullable=False),
        _time("submitted_at", nullable=False),
        _time("started_at"),
        _time("finished_at"),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("worker", sa.Text),
        sa.Column("schedule_id", sa.Text),
        sa.Column("parent_task_id", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )


def _index_workflow_executions() -> None:
    _index("newest", *NEWEST_FIRST)
    _index("by_status", "status", *NEWEST_FIRST)
    _index("by_strategy", "strategy_id", *NEWEST_FIRST)
    _index("by_user", "user_id", *NEWEST_FIRST)
    _index("by_schedule", "schedule_id", *NEWEST_FIRST, postgresql_where=sa.text("schedule_id IS NOT NULL"))
    _index("queue", "priority", *NEWEST_FIRST, postgresql_where=sa.text("status = 'queued'"))
    _index("by_symbol", "symbols", postgresql_using="gin")
    _index("by_label", "labels", postgresql_using="gin", postgresql_ops={"labels": "jsonb_path_ops"})


def _index(name: str, *columns: str, **options: Any) -> None:
    op.create_index(f"{RUNS}_{name}", RUNS, list(columns), schema=SCHEMA, **options)


def _create_execution_steps() -> None:
    op.create_table(
        "execution_steps",
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
        sa.Column("output", JSON),
        sa.Column("error", JSON),
        schema=SCHEMA,
    )
