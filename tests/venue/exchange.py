"""The venue's own state: one account, its positions, and every order that ever reached it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import Any
from uuid import uuid4

from shared.market_data.files import FileMarketData
from shared.market_data.protocol import UnknownSymbol

STARTING_CASH = Decimal(100_000)


class Refusal(Exception):
    """An answer other than 2xx, with Alpaca's number for it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message}


@dataclass
class Exchange:
    """Takes an order, answers `accepted`, and has filled it at the last shipped close before anyone asks again.

    While it is `resting`, orders are filled, or cancelled, when a test says so.
    """

    market_data: FileMarketData = field(default_factory=FileMarketData)
    cash: Decimal = STARTING_CASH
    shares: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    resting: bool = False
    lock: Lock = field(default_factory=Lock)

    def reset(self, cash: Decimal = STARTING_CASH) -> None:
        """Begin anew with `cash` US dollars and nothing else."""
        with self.lock:
            self.cash, self.resting = cash, False
            for memory in (self.shares, self.orders, self.received):
                memory.clear()

    def place(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take an order, or raise Refusal; either way it is in `received`."""
        arrival = {"client_order_id": body.get("client_order_id"), "body": body, "accepted": False}
        with self.lock:
            self.received.append(arrival)
            order = self._accept(body)
            arrival["accepted"] = True
            return order

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        client_order_id = str(body.get("client_order_id") or uuid4())
        if client_order_id in self.orders:
            raise Refusal(422, 40010001, "client_order_id must be unique")
        symbol, side = str(body.get("symbol")), str(body.get("side"))
        quantity = self._quantity(body.get("qty"))
        if side not in ("buy", "sell"):
            raise Refusal(422, 40010001, "side must be buy or sell")
        price = self._close(symbol)
        shares = quantity if side == "buy" else -quantity
        if side == "buy" and quantity * price > self.cash:
            raise Refusal(403, 40310000, "insufficient buying power")
        if self.shares.get(symbol, Decimal(0)) + shares < 0:
            raise Refusal(403, 40310000, "account is not allowed to short")
        accepted = self._accepted(body, client_order_id, symbol, side, quantity)
        self.orders[client_order_id] = accepted
        if not self.resting:
            self._fill(client_order_id, quantity)
        return accepted

    def fill(self, client_order_id: str, quantity: Decimal) -> None:
        """Fill so many shares of an order at the last shipped close."""
        with self.lock:
            self._fill(client_order_id, quantity)

    def cancel(self, client_order_id: str) -> None:
        """End an order as it is."""
        with self.lock:
            self.orders[client_order_id] = self.orders[client_order_id] | {"status": "canceled"}

    def _fill(self, client_order_id: str, quantity: Decimal) -> None:
        order = self.orders[client_order_id]
        price, symbol = self._close(order["symbol"]), order["symbol"]
        shares = quantity if order["side"] == "buy" else -quantity
        self.shares[symbol] = self.shares.get(symbol, Decimal(0)) + shares
        self.cash -= shares * price
        filled = Decimal(order["filled_qty"]) + quantity
        whole = filled == Decimal(order["qty"])
        self.orders[client_order_id] = order | {
            "status": "filled" if whole else "partially_filled",
            "filled_qty": str(filled),
            "filled_avg_price": str(price),
            "filled_at": _now() if whole else None,
        }

    def _accepted(
        self, body: dict[str, Any], client_order_id: str, symbol: str, side: str, quantity: Decimal
    ) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "client_order_id": client_order_id,
            "symbol": symbol,
            "side": side,
            "qty": str(quantity),
            "type": body.get("type"),
            "time_in_force": body.get("time_in_force"),
            "limit_price": body.get("limit_price"),
            "status": "accepted",
            "filled_qty": "0",
            "filled_avg_price": None,
            "submitted_at": _now(),
            "filled_at": None,
        }

    def _quantity(self, text: Any) -> Decimal:
        try:
            quantity = Decimal(text)
        except (InvalidOperation, TypeError, ValueError):
            quantity = Decimal(0)
        if not quantity > 0:
            raise Refusal(422, 40010001, "qty must be > 0")
        return quantity

    def _close(self, symbol: str) -> Decimal:
        try:
            return Decimal(str(self.market_data.daily(symbol, bars=1)["close"][0]))
        except UnknownSymbol as error:
            raise Refusal(422, 42210000, f'asset "{symbol}" not found') from error


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
