"""What the notifier needs again when Redis has lost what was published."""

import sqlalchemy as sa

from services.status.notifier.records import positions_by_stream
from services.status.resuming import Remembered
from shared.domain.events import EVENTS
from shared.log.event_log import EventLog
from shared.published.streams import STREAMS, stream_of


def remembered_by_notifier(log: EventLog) -> Remembered:
    """Return what tells the relay the position before the first event that the notifier has not worked on.

    A stream in which nothing has happened since the notifier's last word asks for nothing, however old that is.
    """

    def position(connection: sa.Connection) -> int | None:
        known = dict(positions_by_stream(connection))
        if not known:
            return None
        missing = [log.read(known.get(stream, 0), limit=1, topics=_topics(stream)) for stream in STREAMS]
        first = [page[0].position for page in missing if page]
        return min(first) - 1 if first else None

    return position


def _topics(stream: str) -> list[str]:
    return [topic for topic in EVENTS.topics if stream_of(topic) == stream] or [f"{stream} has no events yet"]
