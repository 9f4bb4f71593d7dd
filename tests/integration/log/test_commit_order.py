"""Positions are in the order of commits, so that whoever reads on from one misses nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from shared.log.event_log import EventLog
from shared.log.mapper import MsgspecMapper
from shared.log.recorder import APPEND, append_parameters
from tests.builders import submitted
from tests.followers import Notebook, following
from tests.waiting import until
from tests.writers import start_writer

WRITERS = 4
APPENDS = 400
EVENTS_PER_APPEND = 2

LOCK = "LOCK TABLE log.append_order IN EXCLUSIVE MODE;"
UNLOCKED_APPEND = APPEND.replace("append_events", "append_events_unlocked")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """A reader."""
    log = EventLog(migrated_database_url)
    yield log
    log.close()


def append(connection: psycopg.Connection, statement: str) -> int:
    """Append a submission in the connection's transaction, and return its position."""
    stored = [MsgspecMapper().to_stored_event(event) for event in submitted().collect_events()]
    row = connection.execute(statement.encode(), append_parameters(stored)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_follower_sees_every_event_of_four_writers_once_and_in_order(
    migrated_database_url: str, log: EventLog
) -> None:
    """Four processes append at once while a follower reads along; what it saw is the log."""
    notebook = Notebook()
    expected = WRITERS * APPENDS * EVENTS_PER_APPEND
    writers = [start_writer(migrated_database_url, APPENDS) for _ in range(WRITERS)]
    try:
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == b"ready\n"
        with following(migrated_database_url, notebook) as follower:
            until(lambda: follower.active)
            for writer in writers:
                assert writer.stdin
                writer.stdin.write(b"go\n")
                writer.stdin.flush()
            until(lambda: len(notebook.seen) >= expected, seconds=60)
        assert [writer.wait(10) for writer in writers] == [0] * WRITERS
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert notebook.positions == [recorded.position for recorded in log.read(0, limit=expected + 1)]
    assert len(set(notebook.positions)) == expected


def test_without_the_table_lock_a_reader_passes_over_an_event(migrated_database_url: str, log: EventLog) -> None:
    """The same function without its lock: the later position commits first, and the earlier one is never read."""
    with psycopg.connect(migrated_database_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_functiondef('log.append_events'::regproc)").fetchone()
        assert row is not None
        assert row[0].count(LOCK) == 1
        unlocked = row[0].replace(LOCK, "").replace("append_events(", "append_events_unlocked(")
        connection.execute(unlocked)
    with psycopg.connect(migrated_database_url) as first, psycopg.connect(migrated_database_url) as second:
        earlier = append(first, UNLOCKED_APPEND)
        later = append(second, UNLOCKED_APPEND)
        second.commit()
        seen = [recorded.position for recorded in log.read(0)]
        first.commit()
    assert earlier < later
    assert seen == [later]
    assert log.read(seen[-1]) == []
    assert len(log.read(0)) == 2


def test_with_the_table_lock_the_second_writer_waits(migrated_database_url: str, log: EventLog) -> None:
    """While the earlier position is not committed the later one does not exist; then both are read in order."""
    with (
        psycopg.connect(migrated_database_url) as first,
        psycopg.connect(migrated_database_url, autocommit=True) as second,
        psycopg.connect(migrated_database_url, autocommit=True) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        earlier = append(first, APPEND)
        appending = pool.submit(append, second, APPEND)
        until(lambda: observer.execute(WAITING).fetchone() == (1,))
        assert log.read(0) == []
        first.commit()
        later = appending.result(10)
    assert [recorded.position for recorded in log.read(0)] == [earlier, later]


def test_a_position_that_was_rolled_back_is_never_waited_for(migrated_database_url: str, log: EventLog) -> None:
    """A gap is permanent, and a follower goes over it at once."""
    notebook = Notebook()
    arrived = threading.Event()
    notebook.before_commit = lambda _: arrived.set()
    with following(migrated_database_url, notebook) as follower:
        until(lambda: follower.active)
        with psycopg.connect(migrated_database_url) as connection:
            gap = append(connection, APPEND)
            connection.rollback()
        [position] = log.save_execution(submitted())
        assert arrived.wait(5)
    assert position > gap
    assert notebook.positions == [position]
