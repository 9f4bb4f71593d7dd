"""What the streams of published events hold, as a plain client reads them, and what they should hold."""

from __future__ import annotations

from typing import Any

import msgspec
import redis

from shared.cloud_events import cloud_event
from shared.log.event_log import EventLog
from shared.published.entries import event_in
from shared.published.streams import STREAMS, stream_of

Document = dict[str, Any]

_PAGE = 5_000


def published(redis_url: str) -> dict[str, list[Document]]:
    """The CloudEvents of each stream, in its order."""
    with redis.Redis.from_url(redis_url) as client:
        return {stream: [event_in(fields) for _, fields in client.xrange(stream)] for stream in STREAMS}


def as_logged(log: EventLog, *, after: int = 0) -> dict[str, list[Document]]:
    """The CloudEvents that each stream should hold by the log, of the events behind a position."""
    streams: dict[str, list[Document]] = {stream: [] for stream in STREAMS}
    while page := log.read(after, limit=_PAGE):
        for recorded in page:
            document = msgspec.json.decode(msgspec.json.encode(cloud_event(recorded)))
            streams[stream_of(recorded.event.TOPIC)].append(document)
        after = page[-1].position
    return streams


def first_times(events: list[Document]) -> list[Document]:
    """Each event where it first came, told by its id, as a consumer that has seen the others passes over them."""
    return list({event["id"]: event for event in reversed(events)}.values())[::-1]
