"""Live: the log as it grows, as server-sent events or over a WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import StringConstraints
from starlette.requests import HTTPConnection
from starlette.status import WS_1012_SERVICE_RESTART

from services.gateway import examples
from services.gateway.changes import Pushed
from services.gateway.components import beside, components
from services.gateway.event_stream import MEDIA_TYPE, event_stream
from services.gateway.event_types import topics_of
from services.gateway.live import Interest
from services.gateway.openapi import USUAL_PROBLEMS
from services.gateway.queries import POSITION, LiveQuery
from shared.http_server import Stream

router = APIRouter(prefix="/api/live", tags=["events"])
sockets = APIRouter(prefix="/api/live")
"""Apart, since the declaration of the key in the OpenAPI document is for HTTP only."""

_LastEventId = Annotated[
    Annotated[str, StringConstraints(pattern=POSITION)] | None,
    Header(alias="Last-Event-ID", description="as `after`, and wins over it: browsers send it by themselves"),
]


@router.get(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events, without end",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": examples.PUSHED}},
        },
        **USUAL_PROBLEMS,
    },
)
async def stream(request: Request, query: Annotated[LiveQuery, Query()], last_event_id: _LastEventId = None) -> Stream:
    """Push every change as it comes: `{"position", "type", "task_id", "subject", "at", "data"}`.

    After a position it begins with what came next, without a gap or a repeat; without one, with what comes from now on.
    `execution.progress` tells how far a running step is, with `position` null: it is not in the log, and not resumed.
    A comment shows every 15 seconds that the stream lives. The same is at this address as a WebSocket, one JSON text a
    change.
    """
    return event_stream(await _listen(request, query, last_event_id))


@sockets.websocket("")
async def push(socket: WebSocket, query: Annotated[LiveQuery, Query()], last_event_id: _LastEventId = None) -> None:
    """Push the same as `stream`; what the client sends is not read for meaning."""
    batches = await _listen(socket, query, last_event_id)
    await socket.accept()
    gone = asyncio.Event()
    async with beside(_send(socket, batches, gone), name="push"), beside(_receive(socket, gone), name="gone"):
        await gone.wait()


async def _listen(
    connection: HTTPConnection, query: LiveQuery, last_event_id: str | None
) -> AsyncGenerator[Sequence[Pushed]]:
    live = components(connection).live
    after = last_event_id or query.after
    start = await live.start(None if after is None else int(after))
    interest = Interest(
        topics=topics_of(query.types),
        task_id=UUID(query.task_id) if query.task_id else None,
        user_id=query.user_id,
    )
    return live.batches(interest, start)


async def _send(socket: WebSocket, batches: AsyncGenerator[Sequence[Pushed]], gone: asyncio.Event) -> None:
    try:
        async with aclosing(batches):
            async for batch in batches:
                for each in batch:
                    await socket.send_text(each.body.decode())
        await socket.close(WS_1012_SERVICE_RESTART, "The gateway stops: connect again, after the last position.")
    except WebSocketDisconnect:
        pass
    finally:
        gone.set()


async def _receive(socket: WebSocket, gone: asyncio.Event) -> None:
    """Read until the client goes; only so is it noticed."""
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        gone.set()
