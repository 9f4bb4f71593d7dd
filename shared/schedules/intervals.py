"""Every so many seconds, counted from an anchor: exact to the microsecond however far from it."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from shared.schedules.instants import LATEST
from shared.schedules.refusals import Refusal

LONGEST = timedelta(days=366)
"""The longest interval; what is rarer is a matter for a calendar, not for a stopwatch."""


class Interval:
    """The instants `anchor + k * every` for each whole number k, below zero too."""

    def __init__(self, every: timedelta, anchor: datetime) -> None:
        self._every = every
        self._anchor = anchor.astimezone(UTC)

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield those after `moment`; the first one costs the same wherever it is."""
        instant = self._anchor + ((moment - self._anchor) // self._every + 1) * self._every
        while instant <= LATEST:
            yield instant
            instant += self._every

    @classmethod
    def of(cls, seconds: float, anchor: datetime) -> "Interval":
        """Return the interval of so many seconds. Raises Refusal for one that is too short, too long or too fine."""
        if not math.isfinite(seconds) or not 1 <= seconds <= LONGEST.total_seconds():
            raise Refusal(
                f"{seconds!r} is out of range: write 1 to {LONGEST.total_seconds():.0f} seconds (366 days), "
                "such as 900 for every quarter of an hour"
            )
        return cls(whole_milliseconds(seconds), anchor)


def whole_milliseconds(seconds: float) -> timedelta:
    """Return a duration in seconds exactly. Raises Refusal for more than three decimals."""
    milliseconds = round(seconds * 1000)
    if milliseconds / 1000 != seconds:
        raise Refusal(f"{seconds!r} has more than three decimals: write at most milliseconds, such as 1.5 or 0.25")
    return timedelta(milliseconds=milliseconds)
