"""Lines are numbered in the order in which they can be seen."""

from __future__ import annotations

import threading
from uuid import uuid4

import psycopg
import pytest

from shared.telemetry.outbox import StoreAway
from shared.telemetry.records import LineRow
from shared.telemetry.store import KEEP_LINES, SqlStore
from tests.waiting import until

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_whoever_has_read_up_to_a_line_has_missed_none_before_it(migrated_database_url: str) -> None:
    """One process is slow to commit: another that comes after it waits, and is numbered after it."""
    slow, fast = uuid4(), uuid4()
    with (
        psycopg.connect(migrated_database_url) as connection,
        psycopg.connect(migrated_database_url, autocommit=True) as reader,
    ):
        connection.execute(KEEP_LINES, ([slow], [20], [b"[]"]))
        store = SqlStore(migrated_database_url)
        other = threading.Thread(target=store.keep, args=([], [LineRow(fast, 1, 20, b"[]")]))
        other.start()
        until(lambda: reader.execute(WAITING).fetchone() == (1,))
        assert reader.execute("SELECT count(*) FROM telemetry.lines").fetchone() == (0,)
        connection.commit()
        other.join(10)
        store.close()
        found = reader.execute("SELECT task_id FROM telemetry.lines ORDER BY id").fetchall()
    assert found == [(slow,), (fast,)]


def test_a_database_that_is_not_migrated_yet_is_one_that_is_away(database_url: str) -> None:
    """What was said meanwhile is kept later: the tables come with the next migration."""
    store = SqlStore(database_url)
    with pytest.raises(StoreAway):
        store.keep([], [LineRow(uuid4(), 1, 20, b"[]")])
