"""The local stack, with fake services and real servers: started, killed, stopped."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
import redis

from infra.local.record import Phase, ProcessState
from tests.integration.infra.stacks import Stack, end_all, home_folder, living

USERS = [None, "nobody"] if os.geteuid() == 0 else [None]


@pytest.fixture(params=USERS, ids=lambda user: user or "self")
def user(request: pytest.FixtureRequest) -> str | None:
    """Ourselves, and an ordinary user if we are root."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """A test that failed half-way leaves no stack running."""
    yield
    end_all()


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder."""
    with home_folder() as folder:
        yield folder


def write_row(url: str, value: int) -> None:
    """Leave a row in a table, made if needed."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def rows(url: str) -> list[int]:
    """The rows left so far."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


def test_services_start_in_order_and_stop_in_the_opposite_order(user: str | None) -> None:
    """Servers first and last, the gateway last and first; SIGTERM leaves nothing running and exits with 0."""
    with home_folder(user) as folder:
        stack = Stack(folder, services=["projector", "worker", "scheduler"], user=user)
        running = stack.up()
        assert [process.name for process in running.processes] == [
            *("postgres", "valkey", "projector", "worker", "scheduler", "gateway")
        ]
        family = stack.family()

        code, output = stack.stop(signal.SIGTERM)

        assert (code, living(family, within=0)) == (0, [])
        stops = [note for note in stack.notes() if note.startswith("stop")]
        assert stops == ["stop gateway", "stop scheduler", "stop worker", "stop projector"]
        assert "Ready after" in output
        assert "database system is shut down" in stack.home.log("postgres").read_text()
        assert {process.state for process in stack.record().processes} == {ProcessState.STOPPED}


def test_ctrl_c_stops_it_as_well(home: Path) -> None:
    """SIGINT does what SIGTERM does."""
    stack = Stack(home)
    stack.up()
    family = stack.family()
    assert stack.stop(signal.SIGINT)[0] == 0
    assert living(family, within=0) == []


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["postgres", "valkey", "worker", "gateway"])
def test_a_killed_process_is_restarted(home: Path, name: str) -> None:
    """After kill -9 it runs again on its port, its orphans are gone, and what was stored is there."""
    stack = Stack(home)
    running = stack.up()
    write_row(running.database_url, 1)
    with redis.Redis.from_url(running.redis_url) as client:
        client.set("kept", 1)
        client.execute_command("WAITAOF", 1, 0, 1000)
    before = stack.of(name)
    assert before.pid is not None
    orphans = [process for process in stack.family() if process.pid == before.pid]
    orphans += orphans[0].children(recursive=True)

    os.kill(before.pid, signal.SIGKILL)

    stack.wait_for(lambda: stack.is_running_again(name, before.pid))
    after = stack.of(name)
    assert (after.restarts, after.last_exit, after.port) == (1, -signal.SIGKILL, before.port)
    assert living(orphans) == []
    assert rows(running.database_url) == [1]
    with redis.Redis.from_url(running.redis_url) as client:
        assert client.get("kept") == b"1"
    stack.stop()


def test_an_exit_with_code_0_is_an_exit(home: Path) -> None:
    """Event consumers leave with code 0 when Redis blinks: they are started again all the same."""
    stack = Stack(home, services=["flighty"])
    (home / "leave.flighty").touch()
    stack.start()
    stack.wait_for(lambda: stack.record().phase == Phase.READY and stack.of("flighty").restarts == 1)
    assert stack.of("flighty").last_exit == 0
    stack.stop()


def test_a_worker_that_was_told_to_leave_stays_away_until_the_next_start(home: Path) -> None:
    """With code 0: that is said once, stands in the record, and the rest of the stack goes on."""
    stack = Stack(home, services=["worker", "flighty"])
    (home / "leave.worker").touch()
    stack.start()
    stack.wait_for(lambda: stack.record().phase == Phase.READY and stack.of("worker").state == ProcessState.LEFT)
    flighty = stack.of("flighty").pid
    assert flighty is not None
    os.kill(flighty, signal.SIGKILL)
    stack.wait_for(lambda: stack.is_running_again("flighty", flighty))

    worker = stack.of("worker")
    assert (worker.state, worker.pid, worker.restarts, worker.last_exit) == (ProcessState.LEFT, None, 0, 0)
    assert stack.stop()[1].count("worker left, as it was told to") == 1
    stack.up()
    assert stack.of("worker").state == ProcessState.RUNNING
    stack.stop()


@pytest.mark.chaos
def test_killing_the_supervisor_leaves_nothing_and_the_next_start_goes_on(user: str | None) -> None:
    """kill -9: servers, services and their grandchildren end; the data is there the next time, same ports."""
    with home_folder(user) as folder:
        stack = Stack(folder, user=user)
        running = stack.up()
        write_row(running.database_url, 1)
        family = stack.family()
        assert len(family) > len(running.processes) + 2

        stack.stop(signal.SIGKILL)
        assert living(family) == []

        again = stack.up()
        assert rows(again.database_url) == [1]
        assert again.ports == running.ports
        stack.stop()


@pytest.mark.chaos
def test_killing_the_supervisor_and_its_watchdog_leaves_work_for_the_next_start(home: Path) -> None:
    """A grandchild may then live on: the next start finds it by the record, and ends it."""
    stack = Stack(home)
    running = stack.up()
    write_row(running.database_url, 1)
    family = stack.family()
    stack.watchdog().kill()
    stack.stop(signal.SIGKILL)

    again = stack.up()

    assert living(family, within=0) == []
    assert rows(again.database_url) == [1]
    stack.stop()


@pytest.mark.chaos
def test_a_start_again_at_once_waits_for_the_servers_that_are_still_ending(home: Path) -> None:
    """The locks of the data folders tell: no two servers ever share one."""
    stack = Stack(home)
    for value in range(3):
        write_row(stack.up().database_url, value)
        stack.stop(signal.SIGKILL)
    assert rows(stack.up().database_url) == [0, 1, 2]
    stack.stop()


def test_two_stacks_run_side_by_side(home: Path) -> None:
    """Two folders and two gateway ports: everything else is chosen so that they do not meet."""
    with ExitStack() as closing:
        other = Stack(closing.enter_context(home_folder()))
        one = Stack(home)
        first, second = one.up(), other.up()
        assert not set(first.ports.values()) & set(second.ports.values())
        write_row(first.database_url, 1)
        write_row(second.database_url, 2)
        assert (rows(first.database_url), rows(second.database_url)) == ([1], [2])
        for stack in (one, other):
            stack.stop()


def test_a_second_start_on_the_same_folder_is_refused(home: Path) -> None:
    """With a sentence that names the first one, which goes on."""
    first = Stack(home)
    running = first.up()
    code, output = Stack(home).start().ended()
    assert code == 1
    assert f"A stack runs already in {home} at {running.url} (pid {running.supervisor_pid})" in output
    assert httpx.get(f"{running.url}/health/ready").status_code == 200
    first.stop()


def test_a_taken_port_is_refused_before_anything_starts(home: Path) -> None:
    """The sentence names the variable to set."""
    with home_folder() as folder:
        other = Stack(folder)
        other.up()
        stack = Stack(home)
        stack.port = other.port
        code, output = stack.start().ended()
        assert code == 1
        assert f"set BLOTTER_PORT to a free one, for example BLOTTER_PORT={other.port + 1}" in output
        assert not (home / "postgres").exists()
        other.stop()


def test_a_service_that_never_stays_up_ends_the_start(home: Path) -> None:
    """The message names it and shows the end of its log; nothing is left running."""
    stack = Stack(home, services=["worker", "broken"])
    (home / "unready").touch()
    code, output = stack.start().ended()
    assert code == 1
    assert "broken ended 5 times at start (code 1)" in output
    assert "no strategy folder" in output
    assert "stop worker" in stack.notes()


def test_a_stubborn_service_is_killed_at_its_deadline_and_sooner_if_asked_twice(home: Path) -> None:
    """A second Ctrl-C does not wait for the deadline of 5 s; the servers still end in order."""
    stack = Stack(home, services=["stubborn"])
    stack.up()
    assert stack.process is not None
    stack.process.send_signal(signal.SIGINT)
    stack.wait_for(lambda: stack.of("gateway").state == ProcessState.STOPPED)
    assert stack.stop(signal.SIGINT)[0] == 0
    assert stack.of("stubborn").state == ProcessState.KILLED
    assert "database system is shut down" in stack.home.log("postgres").read_text()


def test_the_record_is_for_its_owner_only(home: Path) -> None:
    """It holds the passwords; so do the password files and Valkey's configuration."""
    stack = Stack(home)
    stack.up()
    secret = [stack.home.record, home / "postgres" / "password"]
    secret += [home / "valkey" / "password", home / "valkey" / "valkey.conf"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    assert {file.stat().st_uid for file in secret} == {os.geteuid()}
    assert stat.S_IMODE((home / "logs").stat().st_mode) == 0o700
    stack.stop()


def test_the_servers_ask_for_the_password(home: Path) -> None:
    """Another user of the machine can connect to the ports, and gets no further."""
    stack = Stack(home)
    ports = stack.up().ports
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://app:wrong@127.0.0.1:{ports['postgres']}/blotter")
    with redis.Redis(port=ports["valkey"]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    stack.stop()


def test_given_servers_are_used_and_left_alone(home: Path, migrated_database_url: str, redis_url: str) -> None:
    """With DATABASE_URL and REDIS_URL the stack starts neither server, and stops neither."""
    stack = Stack(home)
    running = stack.up(DATABASE_URL=migrated_database_url, REDIS_URL=redis_url)
    assert (running.database_url, running.redis_url) == (migrated_database_url, redis_url)
    assert {process.name: process.state for process in running.processes} == {
        "valkey": ProcessState.GIVEN,
        "postgres": ProcessState.GIVEN,
        "worker": ProcessState.RUNNING,
        "gateway": ProcessState.RUNNING,
    }
    stack.stop()
    write_row(migrated_database_url, 1)
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run PostgreSQL as itself")
def test_root_in_a_closed_folder_keeps_the_database_elsewhere_and_says_so(tmp_path: Path) -> None:
    """Below a folder of mode 0700 the account nobody could not reach its data."""
    tmp_path.chmod(0o700)
    stack = Stack(tmp_path / "home")
    running = stack.up()
    folder = stack.home.postgres
    try:
        assert folder.parent == Path("/var/lib")
        write_row(running.database_url, 1)
        _, output = stack.stop()
        assert f"PostgreSQL keeps its data in {folder}" in output
        assert rows(stack.up().database_url) == [1]
        stack.stop()
    finally:
        shutil.rmtree(folder)
