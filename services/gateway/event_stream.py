"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from services.gateway.changes import Change, Pushed
from shared.http_server import Stream

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one keeps nginx from holding back what is sent."""

RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""

HEARTBEAT = b": heartbeat\n\n"


def event_stream(batches: AsyncGenerator[Sequence[Pushed]]) -> Stream:
    """Return the answer that sends what comes."""
    return Stream(frames(batches), headers=HEADERS, media_type=MEDIA_TYPE)


async def frames(batches: AsyncGenerator[Sequence[Pushed]]) -> AsyncGenerator[bytes]:
    """Yield the bytes of each batch; those of an empty one are a comment, which shows that the stream lives."""
    async with aclosing(batches):
        yield RETRY
        async for batch in batches:
            yield b"".join(map(frame, batch)) if batch else HEARTBEAT


def frame(pushed: Pushed) -> bytes:
    """Return one event: its position is its id, which browsers send as Last-Event-ID when they connect again."""
    place = b"id: %d\n" % pushed.position if isinstance(pushed, Change) else b""
    return b"%sevent: %s\ndata: %s\n\n" % (place, pushed.type.encode(), pushed.body)
