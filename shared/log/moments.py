"""Between times and positions of the log."""

from datetime import datetime

from shared.log.event_log import EventLog


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
