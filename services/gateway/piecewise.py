"""A response whose end is withheld when its content turns out to be wrong."""

import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Send

from shared.domain.errors import BlotterError

logger = structlog.get_logger()


class PiecewiseResponse(StreamingResponse):
    """Sends pieces as they come. When the next one fails with an error of ours, it ends without the last word (ASGI's
    `more_body`): the server then closes the connection, and the client sees that something is missing.
    """

    async def stream_response(self, send: Send) -> None:
        """Send start, pieces and end, or break off."""
        try:
            await super().stream_response(send)
        except BlotterError as error:
            logger.error("response.broken_off", reason=error.detail)
