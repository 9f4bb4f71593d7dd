"""The dispatcher's own tables: the live runs, the paused levels, the open orders, and how far its followers have
come."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from shared.log.positions import positions_table

metadata = sa.MetaData(schema="executor")

positions = positions_table(metadata)

live_runs = sa.Table(
    "live_runs",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("task_id", UUID(as_uuid=True), nullable=False),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("symbols", ARRAY(sa.Text), nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("timeout_seconds", sa.Float, nullable=False),
    sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("trace", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("resumed", sa.Boolean, nullable=False),
    sa.Column("due_at", sa.DateTime(timezone=True)),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
    sa.Column("sent_level", sa.Text),
    sa.Column("started_at", sa.DateTime(timezone=True)),
    sa.Column("spent_seconds", sa.Float, nullable=False),
    sa.Column("asked_at", sa.DateTime(timezone=True)),
    sa.Column("yields_to", sa.Text),
    sa.Column("forced", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("preemptions", sa.Integer, nullable=False),
    sa.Column("opening", sa.Integer),
    sa.Column("step", sa.Text),
    sa.Column("symbol", sa.Text),
    sa.Column("limits", JSONB, nullable=False),
    sa.Column("max_parallel", sa.Integer),
    sa.Column("joined", sa.Boolean, nullable=False, server_default=sa.false()),
)

paused_levels = sa.Table("paused_levels", metadata, sa.Column("level", sa.Text, primary_key=True))

open_orders = sa.Table(
    "open_orders",
    metadata,
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("task_id", UUID(as_uuid=True), nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("asks", sa.Integer, nullable=False),
    sa.Column("ask_at", sa.DateTime(timezone=True)),
    sa.Column("placed", sa.Boolean, nullable=False),
)
