"""Errors on WebSockets: the handshake is done and the socket closed at once, since only so can a client read why."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.problems import invalid_request, problem_of, status_of
from shared.domain.errors import BlotterError, InvalidInput

PRIVATE_CODES = 4000
"""Codes from here on are for applications (RFC 6455, 7.4.2): ours are this and the HTTP status of the same error."""

LONGEST_REASON = 123
"""Bytes of UTF-8 that a close frame has room for (RFC 6455, 5.5)."""


def close_code(error: BlotterError) -> int:
    """Return the code of `error`, such as 4401 for Unauthenticated."""
    return PRIVATE_CODES + (status_of(error) or HTTPStatus.INTERNAL_SERVER_ERROR)


def close_reason(error: BlotterError) -> str:
    """Return what is wrong, with the fields if it is input, as far as there is room."""
    words = error.detail
    if isinstance(error, InvalidInput):
        words = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
    return words.encode()[:LONGEST_REASON].decode(errors="ignore")


def refusal_of(error: BlotterError) -> ASGIApp:
    """Return the application that refuses a request with `error`, whether it is HTTP or a WebSocket."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await problem_of(error)(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close(close_code(error), close_reason(error))

    return refuse


def install(app: FastAPI) -> None:
    """Make `app` refuse WebSockets so; to be called after `problems.install`, whose answers HTTP still gets.

    What a handler returns is called as an application, for both protocols; the framework's types know one at a time.
    """

    async def domain(_: Request | WebSocket, error: Exception) -> Any:
        assert isinstance(error, BlotterError)
        return refusal_of(error)

    async def validation(_: WebSocket, error: Exception) -> Any:
        assert isinstance(error, WebSocketRequestValidationError)
        return refusal_of(invalid_request(error))

    app.add_exception_handler(BlotterError, domain)
    app.add_exception_handler(WebSocketRequestValidationError, validation)
