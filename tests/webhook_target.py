"""A real HTTP server that webhooks lead to, which answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook as Receiver


class Fault(Enum):
    """What a target may do instead of answering."""

    CLOSE = "close"
    HANG = "hang"


Answer = int | Fault | tuple[int, dict[str, str]] | str
"""A status, what goes wrong instead, a status with headers, or 200 with this text."""


@dataclass
class Target:
    """What came, each as headers and body; `answer` is asked with how often this message was answered before."""

    answer: Callable[[int], Answer]
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    taken: list[str] = field(default_factory=list)

    def ids(self) -> list[str]:
        """The message ids of what was answered with 2xx, in the order of the answers."""
        return list(self.taken)

    def verified(self, secret: str) -> bool:
        """Tell whether every request bears a signature by this secret."""
        for headers, body in self.requests:
            Receiver(secret).verify(body, headers)
        return True


@contextmanager
def target(answer: Callable[[int], Answer] = lambda _: 204) -> Iterator[Target]:
    """Serve on loopback until the end of the block."""
    told = Target(answer)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            message = str(self.headers["webhook-id"])
            with lock:
                number = sum(before.get("webhook-id") == message for before, _ in told.requests)
                told.requests.append((dict(self.headers.items()), body))
                answered = told.answer(number)
            text = b""
            match answered:
                case Fault.CLOSE:
                    self.close_connection = True
                    return
                case Fault.HANG:
                    told.released.wait()
                    return
                case int():
                    status, extra = answered, dict[str, str]()
                case str():
                    status, text = 200, answered.encode()
                    extra = {"Content-Length": str(len(text))}
                case (status, extra):
                    pass
            if 200 <= status < 300:
                with lock:
                    told.taken.append(message)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/hook"
    serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    serving.start()
    try:
        yield told
    finally:
        told.released.set()
        server.shutdown()
        server.server_close()
        serving.join()
