"""Where the relay goes on when Redis has lost what was published."""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from shared.log.event_log import EventLog

Remembered = Callable[[sa.Connection], int | None]
"""Returns the position up to which a subscriber has done its work, None when it has not begun.

A subscriber of ours that keeps its position in the database is given to the relay as one of these. It needs what comes
after that position, however old that is.
"""


def resume_from(
    connection: sa.Connection, log: EventLog, *, reached: int, remembered: Sequence[Remembered], since: datetime
) -> int:
    """Return the position after which events are to be published again.

    That is the first of: what is younger than `since`, for whoever subscribes; what one of our own subscribers has not
    worked on yet; and what was not published at all, beyond the position `reached` (0 when nothing ever was).
    """
    positions = [position_at(log, since), *(position(connection) for position in remembered)]
    if reached:
        positions.append(reached)
    return min(position for position in positions if position is not None)


def position_at(log: EventLog, time: datetime) -> int:
    """Return the position before the first event at or after `time`: a binary search, of about 30 reads.

    Events bear the time of their decision, a little before they are in the log, so that at `time` itself their order
    may differ from that of their times by as much.
    """
    low, high = 0, log.head()
    while low < high:
        middle = (low + high) // 2
        page = log.read(middle, limit=1)
        if not page or page[0].event.at >= time:
            high = middle
        else:
            low = page[0].position
    return low
