"""File locks that tell who is alive.

The kernel drops an flock(2) when the last process that holds the descriptor ends, however it ends: no stale
pid has to be guessed about. A server inherits the lock of its data folder, so a second one cannot start while
a part of the first still runs, even after the supervisor was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path

_BETWEEN_TRIES_SECONDS = 0.02


class Lock:
    """An exclusive lock on a file, held by this process and by those that inherit its descriptor."""

    def __init__(self, path: Path) -> None:
        """Open the file (made if needed), without locking it."""
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_take(self) -> bool:
        """Take it if nobody holds it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self, *, within: timedelta) -> bool:
        """Take it, waiting for its holders to end; False when the time is up."""
        give_up_at = time.monotonic() + within.total_seconds()
        while not self.try_take():
            if time.monotonic() > give_up_at:
                return False
            time.sleep(_BETWEEN_TRIES_SECONDS)  # flock(2) has no deadline of its own
        return True

    def sign(self) -> None:
        """Write our pid into the file, for those who find it locked."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        """Let go of this process's share of it; those that inherited it keep theirs."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock on this file."""
    if not path.exists():
        return False
    lock = Lock(path)
    try:
        return not lock.try_take()
    finally:
        lock.close()
