"""Orders are followed to their end, and a result tells what became of them since.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    # What is placed already is found in the log: the resolver starts again from its beginning.
    op.execute("TRUNCATE executor.open_orders")
    op.execute("DELETE FROM executor.positions WHERE follower = 'executor.orders'")
    op.add_column("open_orders", sa.Column("placed", sa.Boolean, nullable=False), schema="executor")
    op.add_column("workflow_executions", sa.Column("late_orders", JSON(none_as_null=True)), schema="status")


def downgrade() -> None:
    op.execute("DELETE FROM executor.open_orders WHERE placed")
    op.drop_column("open_orders", "placed", schema="executor")
    op.drop_column("workflow_executions", "late_orders", schema="status")
