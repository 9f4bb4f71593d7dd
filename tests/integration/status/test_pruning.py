"""What is too old goes, and then what is too much, the oldest first; and the tables are those that the code knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.status.pruning import NAME, prune
from services.status.settings import StatusSettings
from shared.log.follower import lock_key
from shared.telemetry.records import LineRow, SpanRow
from shared.telemetry.store import SqlStore
from shared.telemetry.tables import lines, metadata, spans
from tests.schema_check import schema_differences

WEEK = timedelta(days=7)
ENOUGH = 1 << 30


@pytest.fixture
def store(settings: StatusSettings) -> Iterator[SqlStore]:
    """The store of this test."""
    store = SqlStore(settings.database_url)
    yield store
    store.close()


def fill(store: SqlStore, rows: int, *, size: int = 10) -> None:
    """Keep so many rows of spans and of lines."""
    body = b"x" * size
    for _ in range(rows):
        store.keep([SpanRow(uuid4(), uuid4(), 1, body)], [LineRow(uuid4(), 1, 20, body)])


def ids(engine: sa.Engine, table: sa.Table) -> list[int]:
    """What is left of a table."""
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(table.c.id).order_by(table.c.id)))


def pruned(engine: sa.Engine, *, max_bytes: int = ENOUGH) -> int:
    """Prune once."""
    with engine.connect() as connection:
        return prune(connection, retention=WEEK, max_bytes=max_bytes)


def test_the_migrations_make_the_tables_that_the_code_knows(engine: sa.Engine) -> None:
    """Alembic finds nothing to change between the migrated database and the metadata."""
    with engine.connect() as connection:
        assert schema_differences(connection, metadata) == []


def test_rows_that_are_older_than_the_retention_go(engine: sa.Engine, store: SqlStore) -> None:
    """However many they are, and no others."""
    fill(store, 3)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE telemetry.spans SET kept_at = now() - interval '8 days' WHERE id <= 2"))
        connection.execute(
            sa.text(
                "INSERT INTO telemetry.lines (task_id, highest, kept_at, body) OVERRIDING SYSTEM VALUE "
                "SELECT gen_random_uuid(), 20, now() - interval '8 days', '' FROM generate_series(1, 2500)"
            )
        )
        # Ids that come before those of the lines that stay.
        connection.execute(sa.text("UPDATE telemetry.lines SET kept_at = now() - interval '8 days' WHERE id <= 3"))
    fill(store, 1)
    assert pruned(engine) == 2 + 2503
    assert (len(ids(engine, spans)), len(ids(engine, lines))) == (2, 1)
    assert pruned(engine) == 0


def test_of_what_is_too_much_the_oldest_goes(engine: sa.Engine, store: SqlStore) -> None:
    """Each table by itself, as far as the bound says."""
    fill(store, 100, size=5_000)
    assert pruned(engine, max_bytes=200_000) == 2 * 61
    assert ids(engine, spans) == ids(engine, lines) == list(range(62, 101))


def test_one_prunes_at_a_time(engine: sa.Engine, store: SqlStore) -> None:
    """Another replica leaves it to the one that is at it, and does it when that one has died."""
    fill(store, 100, size=5_000)
    with engine.connect() as other:
        other.execute(sa.select(sa.func.pg_advisory_lock(lock_key(NAME))))
        assert pruned(engine, max_bytes=200_000) == 0
        other.execute(sa.select(sa.func.pg_advisory_unlock(lock_key(NAME))))
    assert pruned(engine, max_bytes=200_000) == 2 * 61
