"""Answers without end, and a server that ends them when it stops."""

import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import uvicorn
from starlette.responses import StreamingResponse
from starlette.types import Send


class Stream(StreamingResponse):
    """Sends what comes until it ends or the client goes, and lets go of its source at once."""

    def __init__(
        self, content: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._content = content
        super().__init__(content, headers=headers, media_type=media_type)

    async def stream_response(self, send: Send) -> None:
        """Send all of it."""
        async with aclosing(self._content):
            await super().stream_response(send)


EXIT_NOT_STARTED = 3
"""The code with which a process ends whose server could not start, as that of `uvicorn.run`."""


class Server(uvicorn.Server):
    """uvicorn, that ends streams before it waits for requests to end.

    By itself it tells the application to stop only after all answers have been sent, and a stream has no end.
    """

    def __init__(self, config: uvicorn.Config, *, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM or SIGINT; raises SystemExit with `EXIT_NOT_STARTED` when that is impossible."""
        super().run(sockets)
        if not self.started:
            raise SystemExit(EXIT_NOT_STARTED)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: streams at once, other requests when they are answered."""
        self._end_streams()
        await super().shutdown(sockets)
