"""Keep processes running: start them in order, restart what exits, stop them in the opposite order.

Single-threaded: a child is started by the main thread, or the kernel would end it with the thread.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from infra.local.child import Child, Program
from infra.local.failures import LocalError
from infra.local.record import ProcessState
from infra.local.sessions import kill_leftovers
from infra.local.signals import Signals
from infra.local.watchdog import Watchdog


class Supervisor:
    """The children, in the order of their start."""

    def __init__(self, *, signals: Signals, watchdog: Watchdog, on_change: Callable[[], None]) -> None:
        """`on_change` is called whenever something that `stack.json` tells has changed."""
        self.children: list[Child] = []
        self._signals = signals
        self._watchdog = watchdog
        self._on_change = on_change

    def start(self, programs: Sequence[Program]) -> None:
        """Start these after those that run already."""
        for program in programs:
            child = Child(program)
            self.children.append(child)
            self._start(child)

    def tick(self, seconds: float) -> None:
        """Wait for something to happen, at most `seconds`; then restart what has ended and is due."""
        now = time.monotonic()
        due = [child.restart_at - now for child in self.children if child.restart_at is not None]
        self._signals.wait(min([seconds, *due]))
        for child in self.children:
            if child.has_ended():
                self._bury(child)
                child.plan(time.monotonic())
                self._on_change()
        for child in self.children:
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                self._restart(child)

    def stop(self) -> None:
        """End all, the last started first; a second request to stop makes it quick."""
        for child in reversed(self.children):
            child.restart_at = None
            process = child.process
            if process is None:
                child.state = ProcessState.STOPPED
                continue
            by_itself = self._end(process, child.program)
            child.has_ended()
            self._bury(child)
            child.process = None
            child.state = ProcessState.STOPPED if by_itself else ProcessState.KILLED
            self._on_change()

    def _start(self, child: Child) -> None:
        with self._signals.interrupting():
            pid = child.start()
        self._watchdog.watch(pid, child.program.dies_by)
        self._on_change()

    def _restart(self, child: Child) -> None:
        child.restarts += 1
        try:
            self._start(child)
        except LocalError as error:  # a server that did not come back: say so where one looks, and try again
            with child.program.log.open("a") as log:
                log.write(f"supervisor: {error}\n")
            child.plan_restart(time.monotonic())
            self._on_change()

    def _end(self, process: subprocess.Popen[bytes], program: Program) -> bool:
        give_up_at = time.monotonic() + program.stops_within.total_seconds()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(program.ends_by)
        while process.poll() is None:
            left = give_up_at - time.monotonic()
            hurried = self._signals.stops > 1 and program.dies_by == signal.SIGKILL
            if left <= 0 or hurried:
                process.kill()
                process.wait()
                return False
            self._signals.wait(left)
        return True

    def _bury(self, child: Child) -> None:
        if child.process is not None:
            kill_leftovers(child.process.pid)
            self._watchdog.forget(child.process.pid)
