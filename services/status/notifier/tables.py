"""What the notifier keeps: what it delivers to whom, each try of it, and how far it has come in each stream.

They are not made of events, so that they stand in a schema of their own, which a rebuild leaves alone. Bodies are kept
to the letter, since they are signed.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

metadata = sa.MetaData(schema="notifier")


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


deliveries = sa.Table(
    "deliveries",
    metadata,
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
    sa.Column("asked_position", sa.BigInteger, nullable=False),
)
"""One row an event and target: `pending` while it is due at `due_at`, `delivered`, or `dead`.

Of its attempts the `earlier_attempts` were made before `begun_at`, when somebody had it begin anew. A try holds it for
a time by moving `due_at`. Requests to begin anew are heard up to `asked_position` of the log.
"""

sa.Index(
    "deliveries_due",
    deliveries.c.target_id,
    deliveries.c.due_at,
    postgresql_where=sa.text("state = 'pending'"),
)
sa.Index("deliveries_by_target", deliveries.c.target_id, deliveries.c.position, deliveries.c.delivery_id)
sa.Index("deliveries_by_age", deliveries.c.created_at)

tries = sa.Table(
    "tries",
    metadata,
    sa.Column(
        "delivery_id",
        UUID(as_uuid=True),
        sa.ForeignKey(deliveries.c.delivery_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _time("at", nullable=False),
    sa.Column("duration_seconds", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("answer", sa.Text),
)
"""One row a try: what the target answered, or why it did not."""

progress = sa.Table(
    "progress",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""One row a stream of published events: the log position of the last event of it that was worked on."""
