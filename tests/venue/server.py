"""The venue as a server of its own, and the handle that tests hold on it."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread
from typing import Any

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.alpaca import AlpacaKey
from tests.venue.app import build
from tests.venue.faults import Fault

KEY = AlpacaKey(key_id="venue-key", secret="venue-secret")
STOP_SECONDS = 10


class Venue:
    """A running venue, wherever it runs: everything goes over its HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin = httpx.Client(base_url=url, timeout=10)

    def close(self) -> None:
        """Let go of the connection; the server goes on."""
        self._admin.close()

    def reset(self, *, cash: Decimal = Decimal(100_000), page_size: int = 10_000) -> None:
        """Forget all orders, positions and faults."""
        self._admin.post("/admin/reset", json={"cash": str(cash), "page_size": page_size}).raise_for_status()

    def fail(self, fault: Fault) -> None:
        """Order a fault."""
        self._admin.post("/admin/faults", json=fault.model_dump()).raise_for_status()

    def rest(self) -> None:
        """Fill nothing from here on, until `fill` or `cancel` say so."""
        self._admin.post("/admin/rest").raise_for_status()

    def fill(self, client_order_id: str, quantity: int) -> None:
        """Fill so many shares of an order."""
        body = {"client_order_id": client_order_id, "quantity": quantity}
        self._admin.post("/admin/fill", json=body).raise_for_status()

    def cancel(self, client_order_id: str) -> None:
        """End an order as it is."""
        self._admin.post("/admin/cancel", json={"client_order_id": client_order_id}).raise_for_status()

    def book(self) -> dict[str, dict[str, Any]]:
        """Return every order that was accepted, by its client order id, as it stands."""
        orders: dict[str, dict[str, Any]] = self._admin.get("/admin/book").raise_for_status().json()
        return orders

    def received(self) -> list[dict[str, Any]]:
        """Return every order that arrived: `client_order_id`, `body`, `accepted`."""
        orders: list[dict[str, Any]] = self._admin.get("/admin/orders").raise_for_status().json()
        return orders

    def accepted(self) -> Counter[str]:
        """Return how many orders were accepted under each client order id."""
        return Counter(order["client_order_id"] for order in self.received() if order["accepted"])


class Connections:
    """The open connections by client address, so that one can be cut without an answer."""

    def __init__(self) -> None:
        self._transports: dict[Any, asyncio.BaseTransport] = {}

    def cut(self, address: Any) -> None:
        """Close the connection at once, as a cable would."""
        transport = self._transports[tuple(address)]
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's HTTP protocol, with its connections noted here."""
        transports = self._transports

        class NotedProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                transports[transport.get_extra_info("peername")] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.transport.get_extra_info("peername"), None)
                super().connection_lost(exc)

        return NotedProtocol


def server_of(key: AlpacaKey = KEY) -> uvicorn.Server:
    """Return a venue that has not been started."""
    connections = Connections()
    config = uvicorn.Config(
        build(key, connections.cut),
        http=connections.protocol(),
        loop="asyncio",
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def listening(port: int = 0) -> socket.socket:
    """Return a loopback socket that queues connections already, so that no client comes too early."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


@contextmanager
def serving() -> Iterator[Venue]:
    """Run a venue in a thread for the length of the context."""
    server, listener = server_of(), listening()
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="venue", daemon=True)
    thread.start()
    venue = Venue(f"http://127.0.0.1:{listener.getsockname()[1]}")
    try:
        yield venue
    finally:
        venue.close()
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()
        if thread.is_alive():
            raise TimeoutError(f"the venue did not stop within {STOP_SECONDS} s")
