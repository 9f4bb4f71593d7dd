"""The resolver's open orders.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "open_orders",
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("task_id", UUID(as_uuid=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asks", sa.Integer, nullable=False),
        sa.Column("ask_at", sa.DateTime(timezone=True)),
        schema="executor",
    )


def downgrade() -> None:
    op.drop_table("open_orders", schema="executor")
