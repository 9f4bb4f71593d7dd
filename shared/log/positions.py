"""How far a follower has come, kept in the same transaction as what it made of the events."""

from collections.abc import Sequence
from functools import lru_cache

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from shared.log.runs import Recorded

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


_TABLES = (
    "SELECT format('SELECT min(position) FROM %I.%I', table_schema, table_name) "
    "FROM information_schema.columns WHERE table_name = 'positions' AND column_name = 'follower'"
)


def slowest_position(connection: psycopg.Connection) -> int | None:
    """Return the position of the follower that has come least far, of all services; None when nobody follows."""
    statements = [row[0] for row in connection.execute(_TABLES)]
    rows = [connection.execute(statement).fetchone() for statement in statements]
    return min((row[0] for row in rows if row and row[0] is not None), default=None)


class AlreadyProcessed(Exception):
    """Another replica has moved this follower's position; roll back, and load what it committed."""


def read_position(connection: sa.Connection, table: sa.Table, follower: str) -> int:
    """Return the position that `follower` has processed, 0 before its first event."""
    position = connection.scalar(sa.select(table.c.position).where(table.c.follower == follower))
    return position or 0


def unseen(batch: Sequence[Recorded], after: int) -> Sequence[Recorded]:
    """Return what of `batch` stands after position `after`: what came before is passed over when it comes again."""
    return [recorded for recorded in batch if recorded.position > after]


@lru_cache
def _begin(table: sa.Table) -> sa.Executable:
    return insert(table).values(follower=sa.bindparam("name"), position=0).on_conflict_do_nothing()


@lru_cache
def _advance(table: sa.Table) -> sa.Executable:
    return (
        sa.update(table)
        .where(table.c.follower == sa.bindparam("name"), table.c.position == sa.bindparam("after"))
        .values(position=sa.bindparam("to"), moved_at=sa.func.now())
        .returning(table.c.position)
    )


def advance(connection: sa.Connection, table: sa.Table, follower: str, *, after: int, position: int) -> None:
    """Move `follower` from `after` to `position`, which may be the same, in the caller's transaction.

    First in a transaction, it makes a second replica wait until the transaction has ended. Raises AlreadyProcessed when
    the follower does not stand at `after`: what its caller holds in memory is not what is committed.
    """
    if after == 0:
        connection.execute(_begin(table), {"name": follower})
    moved = connection.execute(_advance(table), {"name": follower, "after": after, "to": position}).first()
    if moved is None:
        raise AlreadyProcessed(f"{follower} does not stand at {after} any more; another replica has moved it")
