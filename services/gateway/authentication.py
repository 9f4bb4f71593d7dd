"""Where requests meet credentials: everything under /api, and /metrics, needs a caller, whatever route it is."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.credentials import Caller, Credentials, Role, Unauthenticated, require
from services.gateway.settings import is_loopback
from services.gateway.socket_refusals import refusal_of
from shared.domain.errors import BlotterError, Forbidden

PROTECTED = ("/api", "/metrics")
_CALLER = "blotter.caller"


class ForeignHost(Forbidden):
    """In open mode, a request that was addressed to another name than this machine's own."""

    code = "host_not_allowed"


class ForeignOrigin(Forbidden):
    """In open mode, a WebSocket that a web page of another place has opened."""

    code = "origin_not_allowed"


class Authentication:
    """ASGI middleware that answers 401 before anything of a request under `PROTECTED` is looked at.

    In open mode it answers only to loopback names: a web page on a name that is made to point here (DNS rebinding)
    must not reach tasks through a user's browser. Nor must a page from elsewhere by a WebSocket, which browsers open to
    any place without asking it first; with keys it cannot, since pages cannot give a WebSocket a header.
    """

    def __init__(self, app: ASGIApp, *, credentials: Credentials) -> None:
        self._app = app
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(PROTECTED):
            try:
                headers = Headers(scope=scope)
                scope[_CALLER] = self._caller(headers)
                if scope["type"] == "websocket":
                    self._check_origin(headers)
            except BlotterError as error:
                await refusal_of(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _caller(self, headers: Headers) -> Caller:
        if self._credentials.open and not is_loopback(_name(headers.get("host", "localhost"))):
            raise ForeignHost(
                "Without keys the gateway answers only to localhost and loopback addresses: set BLOTTER_API_KEYS to "
                "use it under another name."
            )
        return self._credentials.authenticate(headers.get("authorization", "").encode("latin-1"))

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if self._credentials.open and origin is not None and origin.partition("://")[2] != headers.get("host"):
            raise ForeignOrigin("Without keys WebSockets are for the gateway's own pages: set BLOTTER_API_KEYS.")


def _name(host: str) -> str:
    """Return a Host header without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


async def _caller(request: Request) -> Caller:
    caller = request.scope.get(_CALLER)
    if not isinstance(caller, Caller):
        raise Unauthenticated(f"Only routes under {' and '.join(PROTECTED)} know their caller.")
    return caller


async def _trader(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    require(caller, Role.TRADER)
    return caller


async def _admin(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    require(caller, Role.ADMIN)
    return caller


BEARER = Security(HTTPBearer(auto_error=False, description="An API key, see BLOTTER_API_KEYS."))
"""Declares the scheme in the OpenAPI document; the middleware does the work."""

Trader = Annotated[Caller, Depends(_trader)]
"""A caller who may submit and cancel."""

Admin = Annotated[Caller, Depends(_admin)]
"""A caller who may do everything."""
