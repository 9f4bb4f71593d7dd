"""How long to wait so that a server's request limit is never passed."""

from collections import deque
from datetime import timedelta
from threading import Lock


class RateLimit:
    """At most `requests` in any window of length `per`, counted in one process; safe between threads."""

    def __init__(self, requests: int, per: timedelta) -> None:
        if requests < 1 or per <= timedelta(0):
            raise ValueError("a rate limit needs at least one request and a length of time")
        self._window_seconds = per.total_seconds()
        self._starts: deque[float] = deque(maxlen=requests)
        self._lock = Lock()

    def reserve(self, now: float) -> float:
        """Take the next place and return the seconds to wait for it; `now` is a monotonic clock's reading."""
        with self._lock:
            full = len(self._starts) == self._starts.maxlen
            start = max(now, self._starts[0] + self._window_seconds) if full else now
            self._starts.append(start)
            return start - now
