"""How far a follower has come, kept in the same transaction as what it made of the events."""

from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

ASYNCHRONOUS_COMMIT = "-c synchronous_commit=off"
"""A libpq option for the connections that followers write with. Should PostgreSQL lose their last commits in a crash,
rows and position go together, and the log tells them again; nobody was promised anything by them."""


def positions_table(metadata: sa.MetaData) -> sa.Table:
    """Return the table of positions in `metadata`'s schema: one row a follower."""
    return sa.Table(
        "positions",
        metadata,
        sa.Column("follower", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


class AlreadyProcessed(Exception):
    """Another replica has gone past this position; roll back, and read the position again."""


def read_position(connection: sa.Connection, table: sa.Table, follower: str) -> int:
    """Return the position that `follower` has processed, 0 before its first event."""
    position = connection.scalar(sa.select(table.c.position).where(table.c.follower == follower))
    return position or 0


@lru_cache
def _advance(table: sa.Table) -> sa.Executable:
    row = insert(table).values(follower=sa.bindparam("follower"), position=sa.bindparam("position"))
    return row.on_conflict_do_update(
        index_elements=[table.c.follower],
        set_={"position": row.excluded.position, "moved_at": sa.func.now()},
        where=table.c.position < row.excluded.position,
    ).returning(table.c.position)


def advance(connection: sa.Connection, table: sa.Table, follower: str, position: int) -> None:
    """Move `follower` to `position` in the caller's transaction; raises AlreadyProcessed unless that is forward."""
    moved = connection.execute(_advance(table), {"follower": follower, "position": position}).first()
    if moved is None:
        raise AlreadyProcessed(f"{follower} is already at or past position {position}")
