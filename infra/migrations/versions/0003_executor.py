"""The dispatcher's live runs and positions.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE SCHEMA executor")
    op.create_table(
        "positions",
        sa.Column("follower", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="executor",
    )
    op.create_table(
        "live_runs",
        sa.Column("task_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("symbols", ARRAY(sa.Text), nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("timeout_seconds", sa.Float, nullable=False),
        sa.Column("trace", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("resumed", sa.Boolean, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        schema="executor",
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA executor CASCADE")
