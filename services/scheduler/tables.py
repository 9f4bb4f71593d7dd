"""The scheduler's tables: snapshots of schedules, and the position of the log that is in them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from shared.log.positions import positions_table

metadata = sa.MetaData(schema="scheduler")

positions = positions_table(metadata)

schedule_snapshots = sa.Table(
    "schedule_snapshots",
    metadata,
    sa.Column("schedule_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    schema="log",
)
"""Beside the log, because whoever folds a schedule begins with them (`shared.log.schedules`)."""
