"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Send

from services.gateway.changes import Change

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one keeps nginx from holding back what is sent."""

RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""

HEARTBEAT = b": heartbeat\n\n"


class EventStream(StreamingResponse):
    """Sends what comes until it ends or the client goes, and lets go of its source at once."""

    def __init__(self, batches: AsyncGenerator[Sequence[Change]]) -> None:
        self._frames = frames(batches)
        super().__init__(self._frames, headers=HEADERS, media_type=MEDIA_TYPE)

    async def stream_response(self, send: Send) -> None:
        """Send all of it."""
        async with aclosing(self._frames):
            await super().stream_response(send)


async def frames(batches: AsyncGenerator[Sequence[Change]]) -> AsyncGenerator[bytes]:
    """Yield the bytes of each batch; those of an empty one are a comment, which shows that the stream lives."""
    async with aclosing(batches):
        yield RETRY
        async for batch in batches:
            yield b"".join(map(frame, batch)) if batch else HEARTBEAT


def frame(change: Change) -> bytes:
    """Return one event: its position is its id, which browsers send as Last-Event-ID when they connect again."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.position, change.type.encode(), change.body)
