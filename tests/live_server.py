"""A gateway over real HTTP in the loop of the test, and clients of its live stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from shared.http_server import Server
from shared.log.async_event_log import AsyncEventLog
from tests.fake_status import FakeStatus

PATIENCE = 20
"""Seconds for what is only a matter of time."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """One gateway, the log behind it, and where it answers."""

    url: str
    log: AsyncEventLog
    client: httpx.AsyncClient
    server: Server
    running: asyncio.Task[None]

    @property
    def socket_url(self) -> str:
        """Where its WebSocket is."""
        return self.url.replace("http", "ws") + "/api/live"

    @asynccontextmanager
    async def stream(self, headers: dict[str, str] | None = None, **query: Any) -> AsyncIterator[Stream]:
        """Listen by server-sent events; whoever is in the block is listening already."""
        asked = {"Accept": "text/event-stream"} | (headers or {})
        async with self.client.stream("GET", "/api/live", params=query, headers=asked) as response:
            stream = Stream(response)
            if response.status_code == 200:
                assert await stream.line() == "retry: 1000"
            yield stream


class Stream:
    """Server-sent events, read one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def line(self) -> str:
        """Return the next line; raises StopAsyncIteration at the end."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._lines)

    async def event(self) -> dict[str, Any]:
        """Return the next event's data, whose position and type its own fields must agree with."""
        fields: dict[str, str] = {}
        while (line := await self.line()) or not fields:
            name, colon, value = line.partition(": ")
            if name and colon:
                fields[name] = value
        document: dict[str, Any] = json.loads(fields["data"])
        position = document["position"]
        assert (fields.get("id"), fields["event"]) == (None if position is None else str(position), document["type"])
        return document

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        return [await self.event() for _ in range(count)]

    async def end(self) -> None:
        """Read to the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            async for _ in self._lines:
                pass


def config_of(app: FastAPI) -> uvicorn.Config:
    """Return how an application is served: on any port, with patience for requests."""
    return uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=10)


def start(server: Server) -> tuple[str, asyncio.Task[None]]:
    """Start a server in the loop of the test, and return where it answers."""
    socket = server.config.bind_socket()
    socket.listen()
    return f"http://127.0.0.1:{socket.getsockname()[1]}", asyncio.create_task(server.serve(sockets=[socket]))


@asynccontextmanager
async def served(
    configuration: GatewaySettings,
    *,
    key: str | None = None,
    status_transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Served]:
    """Run a gateway; `key` goes with every request of its client."""
    app = create_app(configuration, status_transport=status_transport or FakeStatus().transport)
    server = Server(config_of(app), end_streams=lambda: app.state.components.live.close())
    url, running = start(server)
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        AsyncEventLog(configuration.database_url) as log,
        httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=PATIENCE) as client,
    ):
        await client.get("/health/live")  # waits until the gateway takes it
        yield Served(url=url, log=log, client=client, server=server, running=running)
        server.should_exit = True
        await running
