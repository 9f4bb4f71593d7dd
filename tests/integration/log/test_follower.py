"""Following across failures: of the handler, of the follower, of PostgreSQL."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from infra.local.ports import free_port
from infra.local.postgres import PostgresServer, reaches, start_postgres
from infra.migrations.migrate import migrate
from shared.log.event_log import EventLog
from shared.log.follower import IS_ACTIVE, lock_key
from shared.log.runs import Recorded
from tests.builders import running
from tests.followers import Following, Notebook, following
from tests.waiting import until

QUICKLY_SECONDS = 1.0


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """A writer."""
    log = EventLog(migrated_database_url)
    yield log
    log.close()


def stop_quickly(follower: Following) -> None:
    """Stop it as SIGTERM does; fails unless it ends within a second."""
    follower.stop(within=QUICKLY_SECONDS)


def test_a_follower_begins_with_what_is_there_and_goes_on(migrated_database_url: str, log: EventLog) -> None:
    """Events from before it started and from after come in one order."""
    notebook = Notebook()
    positions = log.save_execution(running())
    with following(migrated_database_url, notebook) as follower:
        until(lambda: notebook.positions == positions)
        for _ in range(20):
            positions += log.save_execution(running())
        until(lambda: notebook.positions == positions)
        stop_quickly(follower)


def test_a_handler_that_raises_is_started_again_from_its_position(migrated_database_url: str, log: EventLog) -> None:
    """It fails three times at the fourth event: what was committed is not repeated, the rest is not lost."""
    notebook = Notebook()
    positions = log.save_execution(running())
    failures = 3

    def fail(batch: list[Recorded]) -> None:
        nonlocal failures
        if len(notebook.seen) + len(batch) >= 4 and failures:
            failures -= 1
            raise RuntimeError("the handler is told to fail")

    notebook.before_commit = fail  # type: ignore[assignment]
    with following(migrated_database_url, notebook):
        until(lambda: notebook.positions == positions)
        positions += log.save_execution(running())
        until(lambda: notebook.positions == positions)
    assert notebook.starts == 4


def test_a_second_replica_stands_by_and_takes_over(migrated_database_url: str, log: EventLog) -> None:
    """Only one is active; when it stops the other goes on, and a standby stops as quickly as an active one."""
    first, second = Notebook(), Notebook()
    with following(migrated_database_url, first) as active:
        until(lambda: active.active)
        with (
            following(migrated_database_url, second) as standby,
            following(migrated_database_url, Notebook()) as third,
        ):
            positions = log.save_execution(running())
            until(lambda: first.positions == positions)
            assert not standby.active
            stop_quickly(third)
            stop_quickly(active)
            until(lambda: second.positions == positions)
            assert first.positions == positions


def test_names_do_not_stand_by_for_each_other(migrated_database_url: str, log: EventLog) -> None:
    """Two followers of different names both follow."""
    one, other = Notebook("test.one"), Notebook("test.other")
    positions = log.save_execution(running())
    with following(migrated_database_url, one), following(migrated_database_url, other):
        until(lambda: one.positions == other.positions == positions)


def test_whether_a_follower_is_active_can_be_asked(migrated_database_url: str, database_url: str) -> None:
    """Yes while it follows, no before and after, and never in another database of the server."""
    name = "test.asked"

    def is_active(url: str) -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute(IS_ACTIVE.encode(), [lock_key(name)]).fetchone() == (True,)

    assert not is_active(migrated_database_url)
    with following(migrated_database_url, Notebook(name)) as follower:
        until(lambda: follower.active)
        assert is_active(migrated_database_url)
        assert not is_active(database_url)
    assert not is_active(migrated_database_url)


def test_a_follower_whose_connection_is_ended_connects_again(migrated_database_url: str, log: EventLog) -> None:
    """An administrator ends the session that holds the lock and listens: nothing is lost or repeated."""
    notebook = Notebook()
    with following(migrated_database_url, notebook) as follower:
        until(lambda: follower.active)
        positions = log.save_execution(running())
        until(lambda: notebook.positions == positions)
        with psycopg.connect(migrated_database_url) as administrator:
            ended = administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s::bigint::oid"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [lock_key(notebook.name)],
            ).fetchall()
        assert ended == [(True,)]
        until(lambda: notebook.starts == 2)
        positions += log.save_execution(running())
        until(lambda: notebook.positions == positions)


class Busy(Notebook):
    """Always has something to do, and appends what it has done, which comes back to it as news."""

    def __init__(self, log: EventLog, times: int) -> None:
        """Do so many things."""
        super().__init__()
        self._log = log
        self._left = times

    def tick(self) -> timedelta | None:
        """Do the next thing; the one after it is due at once."""
        if not self._left:
            return None
        self._left -= 1
        self._log.save_execution(running())
        return timedelta()


def test_what_is_due_does_not_wait_for_the_pace(migrated_database_url: str, log: EventLog) -> None:
    """A handler whose own events come back to it works on at its own speed, however slowly news is taken in."""
    pace = timedelta(seconds=5)
    busy = Busy(log, times=20)
    with following(migrated_database_url, busy, pace=pace):
        until(lambda: len(busy.positions) >= 38, seconds=pace.total_seconds())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account which runs PostgreSQL can reach."""
    parent = next(each for each in (tempfile.gettempdir(), "/var/tmp", "/var/lib") if reaches(Path(each)))
    with tempfile.TemporaryDirectory(prefix="blotter-restart-", dir=parent) as name:
        Path(name).chmod(0o711)
        yield Path(name)


class Restartable:
    """A PostgreSQL that can be stopped and started again on the same data and port."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self._folder = folder
        self._port = free_port()
        self._server = self.start()
        self.url = self._server.url

    def start(self) -> PostgresServer:
        """Start it on its folder and port."""
        self._server = start_postgres(self._folder, port=self._port, log=self._folder / "postgres.log")
        return self._server

    def stop(self) -> None:
        """Stop it in order."""
        assert self._server.stop()


@pytest.fixture
def server(folder: Path) -> Iterator[Restartable]:
    """A server of the test's own, with the log in it."""
    server = Restartable(folder)
    migrate(server.url)
    yield server
    server.stop()


def test_a_follower_survives_a_restart_of_postgresql(server: Restartable) -> None:
    """Down and up again on the same data: it goes on from its position, and a writer goes on too."""
    notebook = Notebook()
    log = EventLog(server.url)
    with following(server.url, notebook) as follower:
        positions = log.save_execution(running())
        until(lambda: notebook.positions == positions)
        server.stop()
        until(lambda: not follower.active)
        server.start()
        positions += log.save_execution(running())
        until(lambda: notebook.positions == positions)
        assert notebook.starts == 2
    log.close()


def test_a_follower_stops_quickly_while_postgresql_is_away(server: Restartable) -> None:
    """SIGTERM does not wait for a database that does not answer."""
    notebook = Notebook()
    with following(server.url, notebook) as follower:
        until(lambda: follower.active)
        server.stop()
        until(lambda: not follower.active)
        began = time.monotonic()
        stop_quickly(follower)
        assert time.monotonic() - began < QUICKLY_SECONDS
        server.start()
