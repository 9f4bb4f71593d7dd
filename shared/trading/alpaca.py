"""Orders to Alpaca's trading API, version 2, or to any server that speaks its REST.

What each answer to `POST /v2/orders` means for the order:

===============================================  =====================================
no connection, 429                               VenueUnavailable: it did not arrive
connection lost or timed out after sending, 5xx  OrderAmbiguous: it may have
422 "client_order_id must be unique"             it is there already: look it up
other 4xx                                        OrderRejected, in Alpaca's words
===============================================  =====================================
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import httpx

from shared.alpaca import complaint
from shared.domain.orders import OrderState
from shared.errors import PermanentError
from shared.retry_after import retry_after
from shared.trading.broker import (
    OrderAmbiguous,
    OrderRejected,
    OrderReport,
    OrderRequest,
    Side,
    VenueUnavailable,
    plain,
    unless_rejected,
)

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Failures from before the first byte of a request leaves."""

DUPLICATE = re.compile("client[ _]order[ _]id must be unique", re.IGNORECASE)
"""How Alpaca refuses a second order of one client order id; its code 40010001 covers other mistakes too."""

ENDED = frozenset({"rejected", "canceled", "expired", "replaced"})
"""Order statuses after which nothing more is filled under this client order id."""

UNREADABLE = (ValueError, KeyError, TypeError, ArithmeticError)
"""What reading an answer raises that is not what Alpaca documents, such as a proxy's own page."""

Answer = TypeVar("Answer")


class AlpacaBroker:
    """A `Broker` over HTTP; `client` carries the base URL, keys and timeouts (see `shared.alpaca.connect`).

    Alpaca charges no commission and reports no fees with an order, so `fees` is always None.
    """

    refuses_duplicates = True

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def submit(self, request: OrderRequest) -> OrderReport:
        """Send a day order (see `Broker.submit`)."""
        try:
            response = self._client.post("/v2/orders", json=body_of(request))
        except NEVER_SENT as error:
            raise VenueUnavailable(f"Alpaca could not be reached, the order did not leave: {error!r}") from error
        except httpx.RequestError as error:
            raise OrderAmbiguous(f"Alpaca did not answer after the order was sent: {error!r}") from error
        if response.is_success:
            return unless_rejected(self._accepted(response))
        if is_duplicate(response):
            return unless_rejected(self._first(request))
        raise refusal(response)

    def find(self, client_order_id: str) -> OrderReport | None:
        """Look an order up by its client order id (see `Broker.find`)."""
        response = self._get("/v2/orders:by_client_order_id", {"client_order_id": client_order_id})
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return read(response, report_of)

    def cash(self) -> Decimal:
        """Return the account's cash in US dollars."""
        return read(self._get("/v2/account"), lambda account: Decimal(account["cash"]))

    def positions(self) -> dict[str, Decimal]:
        """Return shares held by symbol, negative for a short."""
        return read(self._get("/v2/positions"), lambda held: {p["symbol"]: shares_of(p) for p in held})

    def _accepted(self, response: httpx.Response) -> OrderReport:
        try:
            return report_of(response.json())
        except UNREADABLE as error:
            raise OrderAmbiguous(f"Alpaca took the order and its answer cannot be read: {error!r}") from error

    def _first(self, request: OrderRequest) -> OrderReport:
        """Return the order that already has this id, provided that it is the same order."""
        try:
            known = self.find(request.client_order_id)
        except (VenueUnavailable, PermanentError) as error:
            raise OrderAmbiguous(f"Alpaca has an order of this id and would not show it: {error}") from error
        if known is None:
            raise OrderAmbiguous(f"Alpaca has an order {request.client_order_id!r} and does not find it yet.")
        if not known.answers(request):
            raise OrderRejected(
                f"The client order id {request.client_order_id!r} already stands for another order "
                f"({known.side} {known.quantity} {known.symbol}): use a new id."
            )
        return known

    def _get(self, path: str, query: dict[str, str] | None = None) -> httpx.Response:
        try:
            response = self._client.get(path, params=query)
        except httpx.RequestError as error:
            raise VenueUnavailable(f"Alpaca did not answer: {error!r}") from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise unavailable(response)
        return response


def body_of(request: OrderRequest) -> dict[str, str]:
    """Return the JSON body of an order; amounts are decimal strings."""
    body = {
        "symbol": request.symbol,
        "qty": plain(request.quantity),
        "side": request.side.value,
        "type": "market" if request.limit_price is None else "limit",
        "time_in_force": "day",
        "client_order_id": request.client_order_id,
    }
    if request.limit_price is not None:
        body["limit_price"] = plain(request.limit_price)
    return body


def report_of(order: dict[str, Any]) -> OrderReport:
    """Return Alpaca's order object as a report."""
    filled = Decimal(order["filled_qty"] or 0)
    status = str(order["status"])
    state = state_of(status, filled)
    return OrderReport(
        client_order_id=order["client_order_id"],
        venue_order_id=order["id"],
        symbol=order["symbol"],
        side=Side(order["side"]),
        quantity=Decimal(order["qty"]),
        limit_price=optional_decimal(order.get("limit_price")),
        state=state,
        submitted_at=datetime.fromisoformat(order["submitted_at"]).astimezone(UTC),
        filled_quantity=filled,
        average_price=optional_decimal(order.get("filled_avg_price")),
        filled_at=datetime.fromisoformat(order["filled_at"]).astimezone(UTC) if order.get("filled_at") else None,
        reason=f"Alpaca ended the order: {status}." if status in ENDED else None,
    )


def state_of(status: str, filled: Decimal) -> OrderState:
    """Return our word for Alpaca's; an order that was ended after a part was filled is filled no further."""
    if status == "filled":
        return OrderState.FILLED
    if status in ENDED:
        return OrderState.FILLED if filled else OrderState.REJECTED
    return OrderState.PLACED


def optional_decimal(text: str | None) -> Decimal | None:
    """Return a decimal, or None where Alpaca says null."""
    return None if text is None else Decimal(text)


def shares_of(position: dict[str, Any]) -> Decimal:
    """Return the shares in one of Alpaca's positions, negative for a short however Alpaca signs it."""
    shares = Decimal(position["qty"]).copy_abs()
    return -shares if position["side"] == "short" else shares


def is_duplicate(response: httpx.Response) -> bool:
    """Tell whether Alpaca refused the order because its client order id has been used."""
    unprocessable = response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    return unprocessable and DUPLICATE.search(complaint(response)) is not None


def refusal(response: httpx.Response) -> Exception:
    """Return the error that an answer other than 2xx to an order stands for."""
    said = f"Alpaca answered {response.status_code}: {complaint(response)}"
    match response.status_code:
        case 429:
            return unavailable(response)
        case 408 | 425:
            return OrderAmbiguous(f"{said}. Whether the order arrived is not known.")
        case status if status >= 500:
            return OrderAmbiguous(f"{said}. Whether the order arrived is not known.")
        case 401:
            return OrderRejected(f"{said}. Check the API key and secret, and that they are for this server.")
        case _:
            return OrderRejected(f"{said}. Change the order or the account, then decide again.")


def unavailable(response: httpx.Response) -> VenueUnavailable:
    """Return the error for a venue that has no time for us now, with the wait that it asks for."""
    wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return VenueUnavailable(f"Alpaca answered {response.status_code}: {complaint(response)}", retry_after=wait)


def read(response: httpx.Response, parse: Callable[[Any], Answer]) -> Answer:
    """Return what `parse` makes of a 2xx answer's JSON.

    Raises PermanentError for a refusal, VenueUnavailable for an answer that is not what Alpaca documents.
    """
    if not response.is_success:
        raise PermanentError(
            f"Alpaca answered {response.status_code}: {complaint(response)}. Check the API key, secret and address."
        )
    try:
        return parse(response.json())
    except UNREADABLE as error:
        raise VenueUnavailable(f"Alpaca's answer cannot be read ({error!r}): {response.text[:100]!r}") from error
