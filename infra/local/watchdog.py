"""A small process that outlives the supervisor by a moment, to end what it left.

It reads the ids of sessions from a pipe. When the pipe closes, the supervisor has ended, however that came about:
the watchdog then sends each session that is still named its signal. The kernel's death signal reaches children only
(and exists on Linux only); this reaches the children's children, on every system.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from infra.local.sessions import members, signal_all

_SERVERS_END_WITHIN_SECONDS = 20.0


class Watchdog:
    """The supervisor's end of the pipe."""

    def __init__(self, log: Path) -> None:
        """Start the process; it writes to `log`."""
        self._log = log
        self._watched: dict[int, signal.Signals] = {}
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def watch(self, session: int, number: signal.Signals) -> None:
        """Send `number` to every member of `session` should the supervisor die."""
        self._watched[session] = number
        self._say(f"{session} {number.value}")

    def forget(self, session: int) -> None:
        """The session has ended: its number may belong to a stranger from now on."""
        self._watched.pop(session, None)
        self._say(f"{session} 0")

    def close(self) -> None:
        """End it; what is still watched is ended by it."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        if self._process.poll() is not None:
            self._process = self._start()
            for session, number in self._watched.items():
                self._write(f"{session} {number.value}")
        self._write(line)

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # ended just now: the next line starts a new one
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "infra.local.watchdog"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def main() -> None:
    """Read `<session> <signal>` lines (signal 0: forget it) until the pipe closes, then end the sessions."""
    watched: dict[int, int] = {}
    for line in sys.stdin:
        session, number = (int(word) for word in line.split())
        if number:
            watched[session] = number
        else:
            watched.pop(session, None)
    gently = {session for session, number in watched.items() if number != signal.SIGKILL}
    for session, number in watched.items():
        signal_all([session], signal.Signals(number))
    psutil.wait_procs(members(gently), timeout=_SERVERS_END_WITHIN_SECONDS)
    signal_all(watched, signal.SIGKILL)


if __name__ == "__main__":
    main()
