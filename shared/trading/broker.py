"""What a broker adapter does, what it is given and what it answers.

::

    BrokerError
    ├── VenueUnavailable    (also TemporaryError)   certainly not accepted: send it again later
    ├── OrderRejected       (also PermanentError)   the venue refused it and will not fill it
    └── OrderAmbiguous                              sent, no answer: it may or may not have arrived

An ambiguous order is neither temporary nor permanent: whoever sent it asks the venue with `Broker.find`, and
sends it again only if the adapter says `refuses_duplicates`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from shared.domain.orders import OrderState
from shared.errors import PermanentError, TemporaryError

LONGEST_CLIENT_ORDER_ID = 128
"""Characters in a client order id; the shortest limit among the venues that we speak to (Alpaca's)."""


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"


class BrokerError(Exception):
    """Base of what a broker adapter raises."""


class VenueUnavailable(BrokerError, TemporaryError):
    """The venue did not take the order, for certain; the same order may be sent again later."""


class OrderRejected(BrokerError, PermanentError):
    """The venue refused the order; the message says why and what to change."""


class OrderAmbiguous(BrokerError):
    """The order left and no answer came back; ask `Broker.find` before anything else."""


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """An order on its way to a venue, good for one day; at market unless `limit_price` is set.

    `quantity` is in shares, prices in US dollars. `as_of` is the day of the last bar that the decision saw:
    the paper broker fills at the open after it, and a live venue ignores it.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None = None
    as_of: date | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.client_order_id) <= LONGEST_CLIENT_ORDER_ID:
            raise ValueError(f"a client order id has 1 to {LONGEST_CLIENT_ORDER_ID} characters")
        if not (self.quantity.is_finite() and self.quantity > 0):
            raise ValueError(f"the quantity of an order is a number above 0, not {self.quantity}")
        if self.limit_price is not None and not (self.limit_price.is_finite() and self.limit_price > 0):
            raise ValueError(f"a limit price is a number above 0, not {self.limit_price}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all but the id: two requests of one id must agree on it."""
        parts = (
            self.symbol,
            self.side,
            plain(self.quantity),
            plain(self.limit_price) if self.limit_price is not None else "market",
            self.as_of.isoformat() if self.as_of else "latest",
        )
        return sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """What a venue knows of an order; amounts in shares and US dollars.

    `fees` is None where the venue reports none; `average_price` is per share over `filled_quantity`;
    `reason` says why an order was refused or ended early.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    state: OrderState
    submitted_at: datetime
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    fees: Decimal | None = None
    filled_at: datetime | None = None
    reason: str | None = None

    def answers(self, request: OrderRequest) -> bool:
        """Tell whether this is the order that `request` asks for, as far as a venue can know it."""
        return (self.client_order_id, self.symbol, self.side, self.quantity, self.limit_price) == (
            request.client_order_id,
            request.symbol,
            request.side,
            request.quantity,
            request.limit_price,
        )


class Broker(Protocol):
    """A venue that takes orders; every adapter passes `tests/contract/test_brokers.py`."""

    @property
    def refuses_duplicates(self) -> bool:
        """Whether the venue never takes two orders of one client order id, so that resending is safe."""

    def submit(self, request: OrderRequest) -> OrderReport:
        """Send an order; sent twice, it is one order, and the second call answers with its report.

        Raises VenueUnavailable, OrderRejected (also when the id already stands for another order) or
        OrderAmbiguous.
        """

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return what the venue knows of an order now; None is no proof that it will not arrive yet.

        Raises VenueUnavailable, or PermanentError when the venue does not let us ask.
        """

    def cash(self) -> Decimal:
        """Return the account's settled cash in US dollars. Raises like `find`."""

    def positions(self) -> dict[str, Decimal]:
        """Return shares held by symbol, negative for a short, none for zero. Raises like `find`."""


def plain(amount: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros, so that equal amounts are equal texts."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unless_rejected(report: OrderReport) -> OrderReport:
    """Return `report`, or raise OrderRejected with its reason: a sender hears of a refusal in one way only."""
    if report.state is OrderState.REJECTED:
        raise OrderRejected(report.reason or "The venue gave no reason.")
    return report
