"""Waiting on conditions, with a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.02


def until(
    condition: Callable[[], Answer | None], *, seconds: float = 10.0, hint: str = "", every: float = POLL_SECONDS
) -> Answer:
    """Return the first truthy answer of `condition`; fails with `hint` and the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {hint or condition}; the last answer was {answer!r}")
        pause.wait(every)
