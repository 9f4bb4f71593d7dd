"""The ledger of orders that queries read.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0006"
down_revision = "0005"

INDEXES = {"newest": (), "by_task": ("task_id",), "by_symbol": ("symbol",), "by_state": ("state",)}


def upgrade() -> None:
    op.create_table(
        "orders",
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
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True)),
        sa.Column("filled_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text),
        schema="status",
    )
    for name, columns in INDEXES.items():
        op.create_index(f"orders_{name}", "orders", [*columns, "requested_at", "client_order_id"], schema="status")
    # The projector makes the rows of earlier runs as well: it starts again from the beginning of the log.
    op.execute("TRUNCATE status.workflow_executions, status.execution_steps, status.positions")


def downgrade() -> None:
    op.drop_table("orders", schema="status")
