"""What metrics are summed up from. The projector makes its tables anew, because it has not counted so far.

Revision ID: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

COUNTED = ("submitted", "started", "completed", "failed", "cancelled", "retried", "preempted", "waited")


def upgrade() -> None:
    op.create_table(
        "metric_tasks",
        sa.Column("priority", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        _count("count"),
        schema="status",
    )
    op.create_table(
        "metric_minutes",
        *_place(),
        *(_count(name) for name in (*COUNTED, "duration_microseconds", "waiting_microseconds")),
        schema="status",
    )
    op.create_table(
        "metric_buckets",
        *_place(),
        sa.Column("figure", sa.Text, primary_key=True),
        sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
        _count("count"),
        schema="status",
    )
    op.execute(
        "TRUNCATE status.workflow_executions, status.execution_steps, status.orders, status.schedules, "
        "status.schedule_history, status.queues, status.cleanups"
    )
    op.execute("DELETE FROM status.positions WHERE follower = 'status.projector'")


def _place() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("strategy_id", sa.Text, primary_key=True),
        sa.Column("priority", sa.Text, primary_key=True),
    )


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def downgrade() -> None:
    for table in ("metric_buckets", "metric_minutes", "metric_tasks"):
        op.drop_table(table, schema="status")
