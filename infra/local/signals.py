"""Wait for a signal, a child's end, or a time, whichever comes first."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAskedError(Exception):
    """Somebody asked the supervisor to stop while it was inside a blocking call."""


class Signals:
    """Signals of this process, as something that a single-threaded loop can wait for.

    Use it as a context manager, in the main thread; the former handlers come back at the end.
    """

    def __init__(self) -> None:
        """Nothing is caught before the context is entered."""
        self.stops = 0
        self._raising = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __enter__(self) -> Signals:
        """Catch the signals."""
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._former = {signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None)}
        for number in _STOP:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup is obeyed
                self._former[number] = signal.signal(number, self._on_stop)
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Return at the next signal (a child's end is one too), at the latest after `seconds`."""
        readable, _, _ = select.select([self._reader], [], [], max(seconds, 0.0))
        if readable:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._reader, 512):
                    pass

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a request to stop break off the body with `StopAskedError`, also one that came before."""
        if self.stops:
            raise StopAskedError
        self._raising = True
        try:
            yield
        finally:
            self._raising = False

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1
        if self._raising:
            self._raising = False
            raise StopAskedError
