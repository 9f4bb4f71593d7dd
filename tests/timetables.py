"""Times of schedules that need no library: every so many seconds, counted from the builders' NOW."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.timing import Timing
from tests.builders import NOW


class EverySeconds:
    """NOW and so many seconds later, again and again, up to `last`."""

    def __init__(self, seconds: float = 60.0, *, last: datetime | None = None) -> None:
        self._every = timedelta(seconds=seconds)
        self._last = last

    def after(self, moment: datetime) -> datetime | None:
        """Return the first one after `moment`."""
        found = NOW + self._every * ((moment - NOW) // self._every + 1)
        return None if self._last is not None and found > self._last else found


def each_interval(timing: Timing) -> EverySeconds:
    """The times of a definition by interval, whatever else it says."""
    assert timing.when.every_seconds is not None
    return EverySeconds(timing.when.every_seconds, last=timing.end_at)
