"""The tables of the store. They belong to no service: all processes write, the status service reads and prunes."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, UUID

metadata = sa.MetaData(schema="telemetry")


def _kept_at() -> sa.Column[object]:
    return sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


spans = sa.Table(
    "spans",
    metadata,
    _id(),
    sa.Column("trace_id", UUID(as_uuid=True), nullable=False, index=True),
    sa.Column("task_id", UUID(as_uuid=True)),
    _kept_at(),
    sa.Column("body", BYTEA, nullable=False),
)
"""One row for what a process had to say of a task's trace at once: an array of spans as JSON."""

lines = sa.Table(
    "lines",
    metadata,
    _id(),
    sa.Column("task_id", UUID(as_uuid=True), nullable=False, index=True),
    sa.Column("highest", sa.SmallInteger, nullable=False),
    _kept_at(),
    sa.Column("body", BYTEA, nullable=False),
)
"""One row for what a process had to say of a task at once: an array of log lines as JSON, `highest` their top level."""
