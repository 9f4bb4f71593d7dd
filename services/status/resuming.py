"""Where the relay goes on when Redis has lost what was published."""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from shared.log.event_log import EventLog
from shared.log.moments import position_at

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
