"""Processes of the simulation: real code that stops at each of its points, and goes on when it is told to.

A fiber is a thread that holds a baton; only who holds it runs, so that a history is the same each time. A killed fiber
stops where it stands, and whatever its `finally` blocks still try is stopped as well.
"""

import threading
from collections.abc import Callable

_local = threading.local()


class Killed(BaseException):
    """Ends a fiber, as SIGKILL ends a process."""


class Fiber:
    """One process, or one attempt in it; `at` names the point that it stands before, None once it has ended.

    One that raises Killed itself has `died` by its own hand, as code that brings its process down does.
    """

    def __init__(self, body: Callable[[], object]) -> None:
        self._body = body
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._killed = False
        self._error: BaseException | None = None
        self.died = False
        self.at: str | None = "its beginning"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        _local.fiber = self
        try:
            if not self._killed:
                self._body()
        except Killed:
            self.died = True
        except BaseException as error:
            self._error = error
        self.at = None
        self._back.release()

    @property
    def ended(self) -> bool:
        """Tell whether it has come to its end."""
        return self.at is None

    def advance(self, points: int = 1) -> None:
        """Let it go on to its next point, so many times at most; raises what it ends with."""
        for _ in range(points):
            if self.ended:
                return
            self._go.release()
            self._back.acquire()
            if self._error is not None:
                error, self._error = self._error, None
                raise error

    def kill(self) -> None:
        """End it where it stands."""
        self._killed = True
        if not self.ended:
            self.advance()
        self._thread.join()

    def stop_at(self, name: str) -> None:
        """Hand the baton back before the point `name`; called by the fiber itself."""
        if self._killed:
            raise Killed
        self.at = name
        self._back.release()
        self._go.acquire()
        if self._killed:
            raise Killed


def in_a_fiber() -> bool:
    """Tell whether a process of the simulation is at work here, and not the history itself."""
    return getattr(_local, "fiber", None) is not None


def point(name: str) -> None:
    """Let other processes go on here, or this one be killed; nothing outside of a fiber."""
    fiber: Fiber | None = getattr(_local, "fiber", None)
    if fiber is not None:
        fiber.stop_at(name)
