"""A TCP proxy that loses what it is told to lose: requests, or the answers to them.

It says so before it cuts: whoever notices the cut first may look at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import StrEnum
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_LONGEST_MARKER = 128
_TAIL = 2 * _LONGEST_MARKER


class Loss(StrEnum):
    """Where a connection is cut, seen from a request."""

    REQUEST = "request"
    """Before the request reaches the server."""
    WAITING = "waiting"
    """After the request has reached the server, without waiting for what comes of it."""
    ANSWER = "answer"
    """After the server has answered, before the client has heard."""
    SILENCE = "silence"
    """Nothing is cut: the server has answered, and the client waits for ever."""


class Proxy:
    """Forwards connections on a local port to `host:port`; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        """Listen at once; `url` tells where."""
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._armed: tuple[bytes, Loss] | None = None
        self._sockets: set[socket.socket] = set()
        self._gone = threading.Event()
        self.lost = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._close_all()

    def cut(self) -> None:
        """Cut every connection, and take no new one until `mend`: the machine behind it is gone."""
        self._gone.set()
        self._close_all()

    def mend(self) -> None:
        """Take connections again."""
        self._gone.clear()

    def _close_all(self) -> None:
        for each in list(self._sockets):
            _close(each)
        self._sockets.clear()

    def url_of(self, url: str) -> str:
        """The same URL, by way of this proxy."""
        credentials, _, rest = url.rpartition("@")
        _, _, path = rest.partition("/")
        return f"{credentials}@127.0.0.1:{self._listener.getsockname()[1]}/{path}"

    def lose(self, marker: bytes, loss: Loss) -> None:
        """Cut the connection of the next request that holds `marker`, once; `lost` is set when it has happened."""
        assert len(marker) <= _LONGEST_MARKER
        self.lost.clear()
        with self._lock:
            self._armed = (marker, loss)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._gone.is_set():
                    _close(client)
                    continue
                server = socket.create_connection(self._target)
                self._sockets |= {client, server}
                _Connection(self, client, server).start()

    def take(self, seen: bytes) -> Loss | None:
        """Return what to lose when `seen` holds the marker, and only once."""
        with self._lock:
            if self._armed is None or not _holds(seen, self._armed[0]):
                return None
            loss, self._armed = self._armed[1], None
            return loss


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._at_answer: Loss | None = None

    def start(self) -> None:
        threading.Thread(target=self._requests, daemon=True).start()
        threading.Thread(target=self._answers, daemon=True).start()

    def _requests(self) -> None:
        tail = b""
        with contextlib.suppress(OSError):
            while chunk := self._client.recv(_CHUNK):
                loss = self._proxy.take(tail + chunk)
                tail = (tail + chunk)[-_TAIL:]
                if loss is Loss.REQUEST:
                    self._cut()
                    break
                self._at_answer = loss
                if loss is Loss.WAITING:
                    # Only the client's side: PostgreSQL notices a lost client when it writes, not before. And first of
                    # all: a server that is quick would have answered already.
                    self._proxy.lost.set()
                    _close(self._client)
                    self._server.sendall(chunk)
                    return
                self._server.sendall(chunk)
        _close(self._server)

    def _answers(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self._server.recv(_CHUNK):
                if self._at_answer is Loss.SILENCE:
                    self._proxy.lost.set()
                    continue
                if self._at_answer is Loss.ANSWER:
                    self._cut()
                    break
                self._client.sendall(chunk)
        _close(self._client)

    def _cut(self) -> None:
        self._proxy.lost.set()
        _close(self._client)
        _close(self._server)


def _holds(seen: bytes, marker: bytes) -> bool:
    """Bytes travel to PostgreSQL as they are or, in text format, in hex."""
    return marker in seen or marker.hex().encode() in seen


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
