"""The two processes of the service, started as the supervisor starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

from infra.local.ports import free_port
from services.status.projector import PROJECTOR
from services.status.settings import StatusSettings
from shared.http_server import EXIT_NOT_STARTED
from shared.log.event_log import EventLog
from shared.log.follower import lock_key
from tests.builders import complete_all, running
from tests.projection_check import differences
from tests.waiting import until


@contextmanager
def process(module: str, settings: StatusSettings, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this service for as long as the context lasts."""
    names = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "BLOTTER_HOME": str(settings.home)}
    started = subprocess.Popen([sys.executable, "-m", module], env=os.environ | names | environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def _position(settings: StatusSettings) -> int:
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute("SELECT position FROM status.positions WHERE follower = %s", [PROJECTOR]).fetchone()
    return int(row[0]) if row else 0


def _append_run(log: EventLog) -> int:
    run = running()
    complete_all(run)
    return log.save_execution(run)[-1]


def test_the_projector_follows_and_stops_on_sigterm(settings: StatusSettings, log: EventLog) -> None:
    """What is appended arrives in the tables; SIGTERM ends the process with code 0 within a second."""
    with process("services.status.projector", settings) as projector:
        last = _append_run(log)
        until(lambda: _position(settings) == last)
        assert differences(settings.database_url) == []
        projector.send_signal(signal.SIGTERM)
        assert projector.wait(timeout=1.0) == 0


def test_a_killed_projector_goes_on_where_it_stopped(settings: StatusSettings, log: EventLog) -> None:
    """After SIGKILL in the middle of many events, a second process brings the tables to the fold."""
    for _ in range(150):
        last = _append_run(log)
    with process("services.status.projector", settings) as projector:
        until(lambda: _position(settings) > 0)
        projector.kill()
    with process("services.status.projector", settings):
        until(lambda: _position(settings) == last)
    assert differences(settings.database_url) == []


def test_a_second_projector_stands_by_and_takes_over(settings: StatusSettings, log: EventLog) -> None:
    """The one that started later does nothing until the first is killed; then it goes on."""

    def followers() -> list[int]:
        holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s::bigint::oid"
        holders += " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        with psycopg.connect(settings.database_url) as connection:
            return [row[0] for row in connection.execute(holders, [lock_key(PROJECTOR)])]

    with process("services.status.projector", settings) as first:
        until(lambda: bool(followers()))
        active = followers()
        with process("services.status.projector", settings):
            first.kill()
            until(lambda: bool(followers()) and followers() != active)
            last = _append_run(log)
            until(lambda: _position(settings) == last)
    assert differences(settings.database_url) == []


def test_the_query_api_answers_on_its_port_and_stops_on_sigterm(settings: StatusSettings) -> None:
    """It listens where BLOTTER_STATUS_PORT says; SIGTERM ends it in order, also while somebody hears of progress."""
    port = str(free_port())

    def lives() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health/live").is_success
        except httpx.TransportError:
            return False

    with process("services.status", settings, BLOTTER_STATUS_PORT=port) as api:
        until(lives)
        with httpx.stream("GET", f"http://127.0.0.1:{port}/progress") as progress:
            lines = progress.iter_lines()
            assert next(lines) == ""
            api.send_signal(signal.SIGTERM)
            assert set(lines) <= {""}
        assert api.wait(timeout=5.0) in (0, -signal.SIGTERM)


def test_a_query_api_that_cannot_start_says_so_by_its_exit_code(settings: StatusSettings) -> None:
    """Another program has its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with process("services.status", settings, BLOTTER_STATUS_PORT=port) as api:
            assert api.wait(timeout=20.0) in (1, EXIT_NOT_STARTED)
