"""HTTP requests as spans, without their queries, headers and bodies, which may hold secrets."""

from typing import Any

import httpx
from opentelemetry.trace import SpanKind, Status, StatusCode

from shared.telemetry.tracing import span


class TracedClient(httpx.Client):
    """A client whose every request is a span, its redirects included; it ends when the answer's headers are there."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, as httpx does."""
        attributes = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            "url.path": request.url.path,
        }
        with span(request.method, kind=SpanKind.CLIENT, attributes=attributes) as active:
            response = super().send(request, **options)
            active.set_attribute("http.response.status_code", response.status_code)
            if response.is_error:
                active.set_status(Status(StatusCode.ERROR))
            return response
