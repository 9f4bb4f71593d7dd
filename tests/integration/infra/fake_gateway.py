"""A small HTTP server that answers what a test has laid down."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]


class FakeGateway:
    """`answers` maps "GET /path?query" to what comes, one after the other; the last one stays."""

    def __init__(self, url: str) -> None:
        """It listens at `url`."""
        self.url = url
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, Any, str | None]] = []

    def on(self, request: str, *bodies: Any, status: int = 200) -> None:
        """Lay down answers."""
        self.answers[request] = [(status, body) for body in bodies]

    def answer(self, request: str, body: Any, authorization: str | None) -> Answer:
        """Note the request; take the next answer."""
        self.requests.append((request, body, authorization))
        laid = self.answers.get(request, [(404, {"title": "Not found", "detail": f"No {request}."})])
        return laid.pop(0) if len(laid) > 1 else laid[0]


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    """One that listens on a free port as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer what was laid down."""
            self._respond()

        def do_POST(self) -> None:
            """Answer what was laid down."""
            self._respond()

        def do_PATCH(self) -> None:
            """Answer what was laid down."""
            self._respond()

        def do_DELETE(self) -> None:
            """Answer what was laid down."""
            self._respond()

        def _respond(self) -> None:
            """A string is sent as it is, all else as JSON."""
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, document = gateway.answer(f"{self.command} {self.path}", body, self.headers.get("Authorization"))
            content = (document if isinstance(document, str) else json.dumps(document)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway = FakeGateway(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
