"""Run a stack of fake services as a process, look at it, and end it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from infra.local import record
from infra.local.home import Home
from infra.local.ports import free_port
from infra.local.record import Phase, ProcessRecord, ProcessState, StackRecord

WITHIN_SECONDS = 30.0
_started: list[subprocess.Popen[str]] = []
CHECKOUT = Path(__file__).resolve().parents[3]


class Stack:
    """A supervisor process on a folder; started again, it goes on with the same data."""

    def __init__(self, home: Path, *, services: Sequence[str] = ("worker",), user: str | None = None) -> None:
        """`user` runs it as somebody else (we must be root)."""
        self.home = Home.at(home)
        self.port = free_port()
        self._services = services
        self._user = user
        self.process: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> Stack:
        """Start it without waiting."""
        inherited = {key: value for key, value in os.environ.items() if not key.endswith("_URL")}
        account = None if self._user is None else pwd.getpwnam(self._user)
        interpreter, extra = interpreter_for(self._user)
        self.process = subprocess.Popen(
            [interpreter, "-m", "tests.integration.infra.run_stack", *self._services],
            cwd=CHECKOUT,
            env={
                **inherited,
                "BLOTTER_HOME": str(self.home.path),
                "BLOTTER_PORT": str(self.port),
                "HOME": str(self.home.path),
                **extra,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        _started.append(self.process)
        return self

    def up(self, **environment: str) -> StackRecord:
        """Start it and wait until it is ready."""
        self.start(**environment)
        self.wait_for(lambda: self.record().phase == Phase.READY)
        return self.record()

    def record(self) -> StackRecord:
        """What its `stack.json` says; a record of an earlier run counts for nothing."""
        found = record.read(self.home.record)
        if found is None or self.process is None or found.supervisor_pid != self.process.pid:
            return StackRecord(
                phase=Phase.STARTING,
                supervisor_pid=0,
                started_at=datetime.now(UTC),
                url="",
                database_url="",
                redis_url="",
            )
        return found

    def of(self, name: str) -> ProcessRecord:
        """The record of one process."""
        return next(process for process in self.record().processes if process.name == name)

    def is_running_again(self, name: str, former: int | None) -> bool:
        """Whether the process has a new pid and runs."""
        now = self.of(name)
        return now.state == ProcessState.RUNNING and now.pid not in (None, former)

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it, to the last grandchild."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        return [process for process in (supervisor, *supervisor.children(recursive=True)) if _lives(process)]

    def watchdog(self) -> psutil.Process:
        """The supervisor's watchdog."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if "infra.local.watchdog" in process.cmdline():
                    return process
        raise AssertionError("no watchdog runs")

    def notes(self) -> list[str]:
        """What the fake services wrote down."""
        file = self.home.path / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and wait; answer the exit code and all that was printed."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; answer the exit code and all that was printed."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=WITHIN_SECONDS)
        return self.process.returncode, output

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until it is true; fail with the output if the supervisor ends first or the time is up."""
        assert self.process is not None
        give_up_at = time.monotonic() + WITHIN_SECONDS
        while not condition():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.05)
                raise AssertionError(f"the stack ended with {self.process.returncode}: {self.ended()[1]}")
            assert time.monotonic() < give_up_at, f"not in {WITHIN_SECONDS} s: {self.record()}"


def end_all() -> None:
    """Kill the supervisors that still run (all else ends with them)."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def interpreter_for(user: str | None) -> tuple[str, dict[str, str]]:
    """A Python that `user` may run, and the environment in which it finds our packages.

    Without one the test is skipped, and fails in CI.
    """
    own = [sys.executable]
    system = [f"/usr/bin/python3.{sys.version_info.minor}"]
    for candidate in own if user is None else own + system:
        extra = {} if candidate in own else {"PYTHONPATH": sysconfig.get_path("platlib")}
        account = None if user is None else pwd.getpwnam(user)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [candidate, "-c", "import alembic"],
                env={**os.environ, **extra},
                user=None if account is None else account.pw_uid,
                check=True,
            )
            return candidate, extra
    reason = f"no Python that {user} may run: install Debian's python3, or open this one to others"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def living(processes: Sequence[psutil.Process], *, within: float = WITHIN_SECONDS) -> list[psutil.Process]:
    """Those that still live after a deadline; the dead whom nobody has buried do not count."""
    give_up_at = time.monotonic() + within
    while True:
        left = [process for process in processes if _lives(process)]
        if not left or time.monotonic() > give_up_at:
            return left
        psutil.wait_procs(left, timeout=0.05)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def home_folder(user: str | None = None) -> Iterator[Path]:
    """An empty folder that PostgreSQL's account can reach, owned by `user`."""
    with tempfile.TemporaryDirectory(prefix="blotter-home-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        if user is not None:
            shutil.chown(name, user)
        yield Path(name)
