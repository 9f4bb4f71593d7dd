"""Webhooks and preferences, as the projector keeps them; deliveries, as the notifier does.

Revision ID: 0023
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        _time("created_at", nullable=False),
        sa.Column("created_position", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="status",
    )
    op.create_index(
        "webhooks_newest",
        "webhooks",
        ["created_at", "webhook_id"],
        schema="status",
        postgresql_where=sa.text("NOT deleted"),
    )
    op.create_table(
        "notification_preferences",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("preferences", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="status",
    )
    op.execute("CREATE SCHEMA notifier")
    _create_deliveries()
    op.create_table(
        "progress",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="notifier",
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target_id", UUID(as_uuid=True), nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("earlier_attempts", sa.Integer, nullable=False),
        _time("created_at", nullable=False),
        _time("begun_at", nullable=False),
        _time("due_at"),
        _time("ended_at"),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        schema="notifier",
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "deliveries_due", "deliveries", ["target_id", "due_at"], schema="notifier", postgresql_where=pending
    )
    op.create_index("deliveries_by_target", "deliveries", ["target_id", "position", "delivery_id"], schema="notifier")
    op.create_index("deliveries_by_age", "deliveries", ["created_at"], schema="notifier")
    op.create_table(
        "tries",
        sa.Column(
            "delivery_id",
            UUID(as_uuid=True),
            sa.ForeignKey("notifier.deliveries.delivery_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        _time("at", nullable=False),
        sa.Column("duration_seconds", sa.Double, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("answer", sa.Text),
        schema="notifier",
    )


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def downgrade() -> None:
    op.execute("DROP SCHEMA notifier CASCADE")
    op.drop_table("notification_preferences", schema="status")
    op.drop_table("webhooks", schema="status")
