"""Cutting a step short: at a safe point, or in the middle of what its author wrote, and never anywhere else.

An interrupt says nothing but "look at the log": a request to cancel or to make way stands there. It raises only while
the window is open, which is while a step's own code runs. Anywhere else (an append, an order on its way, the pool's own
code) it is noted, and obeyed at the next boundary.

In a pool of processes it comes as a signal: SIGUSR2 from the worker's parent, SIGALRM when time is over. Python runs
the handlers in the main thread, between two bytecodes, so that a sleep, a read, a lock or a subprocess ends at once,
and one long call into C does not. In a pool of threads nothing is raised from outside: `ctx.checkpoint` looks.
"""

import faulthandler
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]  # its stubs are older

from shared.workflow.engine import Stopped

INTERRUPT = signal.SIGUSR2
EXIT_GRACE = timedelta(seconds=5)
"""How long a step has to end after its time is over, before its process is ended with it."""

Value = TypeVar("Value")


class Interrupted(BaseException):
    """The step is cut short here; not an Exception, so that no `except Exception` of a step can swallow it."""


class ProcessEnding(BaseException):
    """The pool ends this process: what it is at has not failed, and goes on elsewhere as what a lost worker was at."""


def stop_if_ending() -> None:
    """Raise ProcessEnding when the pool has told this process to end, which it does by a SystemExit wherever it is."""
    if terminate_handler_fired():
        raise ProcessEnding


class Alarm(Protocol):
    """Interrupts the one attempt of a process when its time is over."""

    def set(self, after: timedelta) -> None:
        """Interrupt after this time, once, in place of what was set before."""

    def clear(self) -> None:
        """Set nothing."""


class NoAlarm:
    """For pools of threads: nothing from outside ends what a thread does."""

    def set(self, after: timedelta) -> None:
        """Set nothing."""

    def clear(self) -> None:
        """Clear nothing."""


class ProcessAlarm:
    """A timer of the process. When the step has not ended in time, the process ends with all it does.

    The second is done by a thread that needs no interpreter: also a call into C that never returns is ended.
    """

    def set(self, after: timedelta) -> None:
        """Send SIGALRM to this process after this time, and end the process `EXIT_GRACE` later."""
        seconds = max(after.total_seconds(), 0.000_001)  # zero would clear the timer
        signal.setitimer(signal.ITIMER_REAL, seconds)
        last = seconds + EXIT_GRACE.total_seconds()
        faulthandler.dump_traceback_later(last, exit=True, file=sys.__stderr__ or sys.stderr)

    def clear(self) -> None:
        """Set nothing."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


class Interruption:
    """What one attempt hears of interrupts."""

    def __init__(self, alarm: Alarm, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._alarm = alarm
        self._seconds = seconds
        self._open = False
        self._thread = threading.get_ident()
        self._ends_at = math.inf
        self.noted = False
        self.expired = False

    def interrupt(self) -> None:
        """Note that the attempt is to look at the log; raises Interrupted in its own thread while its window is open.

        Not while an earlier one is on its way out: what `finally` does is left to end.
        """
        self.noted = True
        if self._open and threading.get_ident() == self._thread and not _is_on_its_way_out():
            raise Interrupted

    def expire(self) -> None:
        """Interrupt what runs because its time is over."""
        self.expired = True
        self.interrupt()

    def call(self, body: Callable[[], Value], *, limit: timedelta) -> Value:
        """Return what a step's `body` returns; raises Interrupted when it is cut short, and after `limit`.

        Raises ProcessEnding when its process is ended with it, whatever became of the SystemExit in the step.
        """
        self.expired = False
        self._ends_at = self._seconds() + limit.total_seconds()
        try:
            self._alarm.set(limit)
            self._open = True
            self.check()
            return body()
        except BaseException:
            stop_if_ending()
            raise
        finally:
            self._open = False
            self._alarm.clear()

    def close(self) -> None:
        """Leave nothing behind that could hit the next attempt: an interrupt may have come while a call ended."""
        self._open = False
        self._alarm.clear()

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Note interrupts and raise none of them before the block has ended."""
        was_open, self._open = self._open, False
        try:
            yield
        finally:
            self._open = was_open
        if was_open:
            self.check()

    def check(self) -> None:
        """Raise Interrupted if one was noted, or time is over: here it is safe to stop."""
        if self._seconds() >= self._ends_at:
            self.expired = True
        if self.noted or self.expired:
            raise Interrupted


class Interruptions:
    """The attempts of this process that can be interrupted, by stream and attempt; `seconds` only ever goes up."""

    def __init__(self, alarm: Callable[[], Alarm] = NoAlarm, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._alarm = alarm
        self._seconds = seconds
        self._running: dict[tuple[UUID, int], Interruption] = {}

    @contextmanager
    def of(self, stream: UUID, attempt: int) -> Iterator[Interruption]:
        """Listen for interrupts of this attempt while the block runs, in the thread that runs it."""
        interruption = Interruption(self._alarm(), seconds=self._seconds)
        self._running[stream, attempt] = interruption
        try:
            yield interruption
        finally:
            del self._running[stream, attempt]
            interruption.close()

    def interrupt(self, stream: UUID, attempt: int) -> None:
        """Interrupt one attempt; one that is not here has ended, and nothing happens."""
        interruption = self._running.get((stream, attempt))
        if interruption is not None:
            interruption.interrupt()

    def listen(self) -> None:
        """Take signals as interrupts of the one attempt that this process runs; called in its main thread."""
        signal.signal(INTERRUPT, lambda _number, _frame: self._each(Interruption.interrupt))
        signal.signal(signal.SIGALRM, lambda _number, _frame: self._each(Interruption.expire))

    def _each(self, tell: Callable[[Interruption], None]) -> None:
        for interruption in tuple(self._running.values()):
            tell(interruption)


def _is_on_its_way_out() -> bool:
    """Tell whether `finally`, `with` or `except` of a step that was interrupted or stopped is at work here."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted | Stopped):
        error = error.__context__
    return error is not None
