"""The venue's routes: Alpaca's trading and market data REST, and `/admin` for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.alpaca import AlpacaKey
from shared.market_data.protocol import NoBars
from tests.venue.exchange import STARTING_CASH, Exchange, Refusal
from tests.venue.faults import Fault, FaultMiddleware, Faults

NEW_YORK = ZoneInfo("America/New_York")
WHOLE_HISTORY = 100_000


@dataclass
class Routes:
    """The handlers over one exchange; `page_size` is the most bars on a page."""

    key: AlpacaKey
    exchange: Exchange = field(default_factory=Exchange)
    faults: Faults = field(default_factory=Faults)
    page_size: int = 10_000

    async def place(self, request: Request) -> Response:
        """`POST /v2/orders`."""
        return JSONResponse(self.exchange.place(await request.json()))

    async def find(self, request: Request) -> Response:
        """`GET /v2/orders:by_client_order_id`."""
        order = self.exchange.orders.get(request.query_params["client_order_id"])
        if order is None:
            raise Refusal(404, 40410000, "order not found")
        return JSONResponse(order)

    async def account(self, request: Request) -> Response:
        """`GET /v2/account`."""
        return JSONResponse({"cash": str(self.exchange.cash), "currency": "USD", "status": "ACTIVE"})

    async def positions(self, request: Request) -> Response:
        """`GET /v2/positions`."""
        held = [(symbol, shares) for symbol, shares in sorted(self.exchange.shares.items()) if shares]
        return JSONResponse([{"symbol": symbol, "qty": str(shares), "side": "long"} for symbol, shares in held])

    async def bars(self, request: Request) -> Response:
        """`GET /v2/stocks/{symbol}/bars`, daily bars only."""
        query = request.query_params
        if (query.get("timeframe"), query.get("adjustment")) != ("1Day", "all"):
            raise Refusal(400, 40010000, "this venue has timeframe=1Day and adjustment=all only")
        symbol = request.path_params["symbol"]
        found = self._bars(symbol, query.get("start"), query.get("end"))
        if query.get("sort", "asc") == "desc":
            found.reverse()
        first = int(query.get("page_token", "0"))
        last = first + min(int(query.get("limit", "1000")), self.page_size)
        token = str(last) if last < len(found) else None
        return JSONResponse({"symbol": symbol, "bars": found[first:last] or None, "next_page_token": token})

    def _bars(self, symbol: str, start: str | None, end: str | None) -> list[dict[str, Any]]:
        try:
            rows = self.exchange.market_data.daily(symbol, bars=WHOLE_HISTORY).rows()
        except NoBars:
            return []
        begin = datetime.fromisoformat(start) if start else datetime.now(UTC)
        until = datetime.fromisoformat(end) if end else datetime.now(UTC)
        names = ("o", "h", "l", "c", "v")
        return [
            {"t": stamp.isoformat().replace("+00:00", "Z"), **dict(zip(names, values, strict=True))}
            for day, *values in rows
            if begin <= (stamp := midnight(day)) <= until
        ]

    async def add_fault(self, request: Request) -> Response:
        """`POST /admin/faults`: order a `Fault`."""
        self.faults.add(Fault.model_validate(await request.json()))
        return Response(status_code=204)

    async def received(self, request: Request) -> Response:
        """`GET /admin/orders`: every order that arrived, accepted or not, in order of arrival."""
        return JSONResponse(self.exchange.received)

    async def rest(self, request: Request) -> Response:
        """`POST /admin/rest`: fill nothing from here on, until `fill` or `cancel` say so."""
        self.exchange.resting = True
        return Response(status_code=204)

    async def fill(self, request: Request) -> Response:
        """`POST /admin/fill`: fill `quantity` shares of an order."""
        body = await request.json()
        self.exchange.fill(body["client_order_id"], Decimal(body["quantity"]))
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        """`POST /admin/cancel`: end an order as it is."""
        self.exchange.cancel((await request.json())["client_order_id"])
        return Response(status_code=204)

    async def book(self, request: Request) -> Response:
        """`GET /admin/book`: every order that was accepted, by its client order id, as it stands."""
        return JSONResponse(self.exchange.orders)

    async def reset(self, request: Request) -> Response:
        """`POST /admin/reset`: begin anew; `cash` and `page_size` may be given."""
        body = await request.json()
        self.faults.clear()
        self.exchange.reset(Decimal(body.get("cash", STARTING_CASH)))
        self.page_size = int(body.get("page_size", 10_000))
        return Response(status_code=204)

    def signed(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        """Return `handler` behind the key."""

        async def guarded(request: Request) -> Response:
            given = (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY"))
            if given != (self.key.key_id, self.key.secret):
                raise Refusal(401, 40110000, "unauthorized")
            answer: Response = await handler(request)
            return answer

        return guarded


def midnight(day: date) -> datetime:
    """Return the stamp that Alpaca gives a daily bar."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


async def refused(request: Request, error: Exception) -> Response:
    """Answer a Refusal as Alpaca does."""
    assert isinstance(error, Refusal)
    return JSONResponse(error.body, error.status)


def build(key: AlpacaKey, cut: Callable[[Any], None]) -> Starlette:
    """Return the venue's application; `cut` closes the connection of a client's address."""
    routes = Routes(key)
    return Starlette(
        routes=[
            Route("/v2/orders", routes.signed(routes.place), methods=["POST"]),
            Route("/v2/orders:by_client_order_id", routes.signed(routes.find)),
            Route("/v2/account", routes.signed(routes.account)),
            Route("/v2/positions", routes.signed(routes.positions)),
            Route("/v2/stocks/{symbol:path}/bars", routes.signed(routes.bars)),
            Route("/admin/faults", routes.add_fault, methods=["POST"]),
            Route("/admin/orders", routes.received),
            Route("/admin/book", routes.book),
            Route("/admin/rest", routes.rest, methods=["POST"]),
            Route("/admin/fill", routes.fill, methods=["POST"]),
            Route("/admin/cancel", routes.cancel, methods=["POST"]),
            Route("/admin/reset", routes.reset, methods=["POST"]),
        ],
        exception_handlers={Refusal: refused},
        middleware=[Middleware(FaultMiddleware, faults=routes.faults, cut=cut)],
    )
