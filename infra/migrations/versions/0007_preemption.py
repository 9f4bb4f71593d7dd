"""What the dispatcher knows of running runs, and by whom a run was preempted.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    # The new columns are made of the log: the dispatcher starts again from its beginning.
    op.execute("TRUNCATE executor.live_runs")
    op.execute("DELETE FROM executor.positions WHERE follower = 'executor.dispatcher'")
    live_runs = (
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_level", sa.Text),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("spent_seconds", sa.Float, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("yields_to", sa.Text),
        sa.Column("preemptions", sa.Integer, nullable=False),
    )
    for column in live_runs:
        op.add_column("live_runs", column, schema="executor")
    for column in (sa.Column("preempted_by", sa.Text), sa.Column("preempted_at", sa.DateTime(timezone=True))):
        op.add_column("workflow_executions", column, schema="status")


def downgrade() -> None:
    for name in ("waiting_since", "sent_level", "started_at", "spent_seconds", "asked_at", "yields_to", "preemptions"):
        op.drop_column("live_runs", name, schema="executor")
    for name in ("preempted_by", "preempted_at"):
        op.drop_column("workflow_executions", name, schema="status")
