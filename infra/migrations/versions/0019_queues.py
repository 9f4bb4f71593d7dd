"""Since when runs wait for a worker, and which queues are paused, for those who ask the status service.

Revision ID: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

SINCE = """
-- As a rebuild would tell it: when the event came that has the run wait, of those that the row is made of.
UPDATE status.workflow_executions SET waiting_since = (
    SELECT (convert_from(state, 'UTF8')::json ->> 'at')::timestamptz FROM log.blotter_events
    WHERE originator_id = task_id AND notification_id <= position AND topic IN (
        'execution.submitted', 'execution.released', 'execution.worker_lost', 'execution.preempted',
        'execution.restarted'
    )
    ORDER BY originator_version DESC LIMIT 1
) WHERE status IN ('queued', 'preempted') AND NOT held
"""


def upgrade() -> None:
    op.add_column("workflow_executions", _time("waiting_since"), schema="status")
    op.execute(SINCE)
    op.create_index(
        "workflow_executions_waiting",
        "workflow_executions",
        ["priority", "waiting_since"],
        schema="status",
        postgresql_where=sa.text("waiting_since IS NOT NULL"),
    )
    op.create_table(
        "queues",
        sa.Column("priority", sa.Text, primary_key=True),
        sa.Column("paused", sa.Boolean, nullable=False),
        _time("changed_at", nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="status",
    )


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def downgrade() -> None:
    op.drop_table("queues", schema="status")
    op.drop_index("workflow_executions_waiting", "workflow_executions", schema="status")
    op.drop_column("workflow_executions", "waiting_since", schema="status")
