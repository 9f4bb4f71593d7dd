"""One span a request, `X-Trace-Id` on every answer, and an answer even to what nobody foresaw."""

import structlog
from opentelemetry.trace import Span, SpanKind, format_trace_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import internal_error
from shared.telemetry import span

HEADER = b"x-trace-id"

logger = structlog.get_logger()


class Tracing:
    """ASGI middleware, the outermost: it honours an incoming W3C `traceparent` and starts a trace otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP requests are traced."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with span(scope["method"], parent=_traceparent(scope), kind=SpanKind.SERVER) as active:
            trace_id = format_trace_id(active.get_span_context().trace_id)
            with structlog.contextvars.bound_contextvars(trace_id=trace_id):
                await self._answer(scope, receive, send, active, trace_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, active: Span, trace_id: str) -> None:
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (HEADER, trace_id.encode())]
                _describe(active, scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, stamped)
        except Exception as error:
            logger.exception("request.failed", method=scope["method"], path=scope["path"])
            active.record_exception(error)
            if started:
                raise
            await internal_error()(scope, receive, stamped)


def _traceparent(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)


def _describe(active: Span, scope: Scope, status: int) -> None:
    """Name the span by its route, whose placeholders keep names few."""
    route = getattr(scope.get("route"), "path", None)
    active.update_name(f"{scope['method']} {route}" if route else scope["method"])
    active.set_attribute("http.request.method", scope["method"])
    active.set_attribute("http.response.status_code", status)
    active.set_attribute("url.path", scope["path"])
