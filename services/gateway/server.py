"""The HTTP server: uvicorn, that ends live streams before it waits for requests to end."""

import socket

import uvicorn
from fastapi import FastAPI


class GatewayServer(uvicorn.Server):
    """Serves the gateway's application, which `create_app` has made.

    uvicorn tells the application to stop only after all answers have been sent, and a stream is an answer without end.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: streams at once, other requests when they are answered."""
        app = self.config.app
        assert isinstance(app, FastAPI)
        app.state.components.live.close()
        await super().shutdown(sockets)
