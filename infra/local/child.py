"""One supervised process: what starts it, what happened to it, and when it is tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.local.record import ProcessRecord, ProcessState

FIRST_DELAY = timedelta(seconds=0.1)
LONGEST_DELAY = timedelta(seconds=5)
SETTLED_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Program:
    """How to run a process. `start` may block until it is usable; `dies_by` is sent if the supervisor dies.

    One that `may_leave` does so with exit code 0, when somebody told it to, and is not started again.
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    ends_by: signal.Signals
    dies_by: signal.Signals
    stops_within: timedelta
    port: int | None = None
    may_leave: bool = False


def restart_delay(failures: int) -> timedelta:
    """The wait before the next start, after `failures` ends (1 or more) none of which was far from its start."""
    return min(FIRST_DELAY * 2.0 ** min(failures - 1, 16), LONGEST_DELAY)


class Child:
    """A program, and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        """Nothing is started yet."""
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.state = ProcessState.WAITING
        self.restarts = 0
        self.failures = 0
        self.last_exit: int | None = None
        self.restart_at: float | None = None
        self._started_at: datetime | None = None
        self._started = 0.0

    def start(self) -> int:
        """Start it; answer its pid."""
        self.state, self.restart_at = ProcessState.STARTING, None
        self.process = self.program.start()
        self.state, self._started, self._started_at = ProcessState.RUNNING, time.monotonic(), datetime.now(UTC)
        return self.process.pid

    def has_ended(self) -> bool:
        """Whether the process we started has ended; its exit code is remembered."""
        if self.process is None or self.process.poll() is None:
            return False
        self.last_exit = self.process.returncode
        return True

    def plan(self, now: float) -> None:
        """After an end: leave it at that if the process was told to leave, else plan its restart."""
        if self.program.may_leave and self.last_exit == os.EX_OK:
            self.process, self.state = None, ProcessState.LEFT
        else:
            self.plan_restart(now)

    def plan_restart(self, now: float) -> None:
        """After an end, or a start that failed: say when to try again (`restart_at`, monotonic)."""
        settled = self.process is not None and now - self._started >= SETTLED_AFTER.total_seconds()
        self.failures = 1 if settled else self.failures + 1
        self.process, self.state = None, ProcessState.RESTARTING
        self.restart_at = now + restart_delay(self.failures).total_seconds()

    def record(self) -> ProcessRecord:
        """What `stack.json` says about it."""
        return ProcessRecord(
            name=self.program.name,
            state=self.state,
            pid=None if self.process is None else self.process.pid,
            port=self.program.port,
            started_at=self._started_at,
            restarts=self.restarts,
            last_exit=self.last_exit,
        )
