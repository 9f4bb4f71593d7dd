"""Where the paper broker keeps its accounts: cash, positions and orders."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from shared.errors import PermanentError, TemporaryError
from shared.trading.broker import OrderReport, OrderRequest


class BookUnavailable(TemporaryError):
    """The store behind the book does not answer; what the transaction had changed may or may not be kept."""


class UnknownAccount(PermanentError):
    """Nobody has opened this account."""


@dataclass(frozen=True, kw_only=True)
class PaperOrder:
    """An accepted order: what was asked, and how it stands.

    It is filled by the first bar after the day `decided_on`. While it waits, a buy sets aside cash for
    `reference_price` a share, in US dollars.
    """

    request: OrderRequest
    decided_on: date
    reference_price: Decimal
    report: OrderReport


class Ledger(Protocol):
    """One account, inside a transaction: nobody else sees or changes it until the transaction ends."""

    @property
    def cash(self) -> Decimal:
        """Cash in US dollars."""

    def positions(self) -> dict[str, Decimal]:
        """Return shares by symbol, negative for a short, none for zero."""

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return the order of this id."""

    def open_orders(self) -> list[PaperOrder]:
        """Return the orders that still wait to be filled, oldest first."""

    def keep(self, order: PaperOrder) -> None:
        """Add an order, or replace the one of the same client order id."""

    def move(self, symbol: str, *, shares: Decimal, cash: Decimal) -> None:
        """Add to a position and to the cash; either may be negative."""


class Book(Protocol):
    """A store of accounts; every book passes `tests/contract/test_books.py`."""

    def open_account(self, account_id: str, cash: Decimal) -> None:
        """Open an account with `cash` US dollars; one that is open already stays as it is."""

    def transaction(self, account_id: str) -> AbstractContextManager[Ledger]:
        """Lock an account for the length of the context: all is kept at its end, nothing after an exception.

        Raises UnknownAccount, or BookUnavailable when the store does not answer.
        """
