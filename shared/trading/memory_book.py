"""A book in memory, for tests and for trying things out; it is gone when the process ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from shared.domain.orders import OrderState
from shared.trading.book import PaperOrder, UnknownAccount


@dataclass
class Account:
    """One account's ledger: cash in US dollars, shares by symbol, orders in the order of their arrival."""

    cash: Decimal
    shares: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, PaperOrder] = field(default_factory=dict)

    def positions(self) -> dict[str, Decimal]:
        """Return shares by symbol (see `Ledger.positions`)."""
        return {symbol: shares for symbol, shares in sorted(self.shares.items()) if shares}

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return the order of this id."""
        return self.orders.get(client_order_id)

    def open_orders(self) -> list[PaperOrder]:
        """Return the orders that still wait to be filled, oldest first."""
        return [order for order in self.orders.values() if order.report.state is OrderState.PLACED]

    def keep(self, order: PaperOrder) -> None:
        """Add an order, or replace the one of the same client order id."""
        self.orders[order.request.client_order_id] = order

    def move(self, symbol: str, *, shares: Decimal, cash: Decimal) -> None:
        """Add to a position and to the cash; either may be negative."""
        self.shares[symbol] = self.shares.get(symbol, Decimal(0)) + shares
        self.cash += cash


class MemoryBook:
    """A `Book` behind one lock; a transaction works on a copy, which replaces the account at its end."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._lock = Lock()

    def open_account(self, account_id: str, cash: Decimal) -> None:
        """Open an account with `cash` US dollars; one that is open already stays as it is."""
        with self._lock:
            self._accounts.setdefault(account_id, Account(cash))

    @contextmanager
    def transaction(self, account_id: str) -> Iterator[Account]:
        """Lock the book for the length of the context (see `Book.transaction`)."""
        with self._lock:
            if account_id not in self._accounts:
                raise UnknownAccount(f"There is no paper account {account_id!r}: open it first.")
            account = deepcopy(self._accounts[account_id])
            yield account
            self._accounts[account_id] = account
