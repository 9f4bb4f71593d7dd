"""The stretch of time in which nominal times are computed, and what computes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What intervals are counted from, unless they have a start of their own."""

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""No schedule has a time before this one."""

LATEST = datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)
"""No schedule has a time after this one."""

TICK = timedelta(microseconds=1)
"""The shortest time there is between two instants."""


class Series(Protocol):
    """Instants in UTC, strictly increasing."""

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield those after `moment`, lazily and perhaps without end."""


class OneTime:
    """A series of one instant."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield the instant, unless it is over."""
        if self._at > moment:
            yield self._at
