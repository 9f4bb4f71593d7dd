"""The paper broker's book.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("CREATE SCHEMA paper")
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("cash", sa.Numeric, nullable=False, comment="US dollars, exact"),
        schema="paper",
    )
    op.create_table(
        "positions",
        sa.Column("account_id", sa.Text, sa.ForeignKey("paper.accounts.account_id"), primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("shares", sa.Numeric, nullable=False, comment="negative for a short"),
        schema="paper",
    )
    op.create_table(
        "orders",
        sa.Column("account_id", sa.Text, sa.ForeignKey("paper.accounts.account_id"), primary_key=True),
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("arrival", sa.BigInteger, sa.Identity(always=True), nullable=False, comment="orders of arrival"),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("limit_price", sa.Numeric),
        sa.Column("as_of", sa.Date, comment="as the sender asked"),
        sa.Column("decided_on", sa.Date, nullable=False, comment="filled by the first bar after this day"),
        sa.Column("reference_price", sa.Numeric, nullable=False, comment="set aside for a waiting buy, a share"),
        sa.Column("venue_order_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filled_quantity", sa.Numeric, nullable=False),
        sa.Column("average_price", sa.Numeric),
        sa.Column("fees", sa.Numeric),
        sa.Column("filled_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text),
        schema="paper",
    )
    op.create_index(
        "paper_orders_waiting",
        "orders",
        ["account_id", "arrival"],
        schema="paper",
        postgresql_where=sa.text("state = 'placed'"),
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA paper CASCADE")
