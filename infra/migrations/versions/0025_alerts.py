"""What is wrong and what was, for those who ask the status service; and what the alerter looks for among tasks.

Revision ID: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

INDEXES = """
CREATE INDEX alerts_newest ON status.alerts (since, id);
CREATE INDEX workflow_executions_failed ON status.workflow_executions (finished_at, strategy_id)
    WHERE status = 'failed';
CREATE INDEX workflow_executions_needing_attention ON status.workflow_executions (strategy_id)
    WHERE status = 'failed' AND error::text LIKE '{"type":"needs_attention"%';
CREATE INDEX schedule_history_missed ON status.schedule_history (at) WHERE type = 'missed'
"""


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "subject", "severity", "summary")),
        sa.Column("value", sa.Double),
        sa.Column("threshold", sa.Double),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolution", sa.Text),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True)),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("occurrences", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        schema="status",
    )
    op.execute(INDEXES)


def downgrade() -> None:
    for name in ("workflow_executions_failed", "workflow_executions_needing_attention", "schedule_history_missed"):
        op.drop_index(name, schema="status")
    op.drop_table("alerts", schema="status")
