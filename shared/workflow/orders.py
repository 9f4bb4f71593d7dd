"""What a strategy decides, and what became of it.

Both records survive JSON exactly: decimals are written as strings, dates and times in ISO 8601.
"""

from datetime import date
from decimal import Decimal
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.domain.orders import OrderState
from shared.trading.broker import LONGEST_CLIENT_ORDER_ID, OrderReport, OrderRequest, Side

__all__ = ["Decision", "Order", "OrderState", "Side"]

SYMBOL_PATTERN = r"^[A-Z0-9.\-/]{1,20}$"
"""The symbols that a task may name."""


class Decision(BaseModel):
    """One thing that a strategy wants done; `quantity` in shares, prices in US dollars.

    `as_of` is the day of the last bar that the decision saw; a paper order is filled at the open after it.
    Without `limit_price` it is a market order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = Field(pattern=SYMBOL_PATTERN)
    action: Side
    quantity: Decimal = Field(gt=0)
    reason: str = Field(min_length=1, description="why, in a sentence that a trader understands")
    as_of: date | None = None
    limit_price: Decimal | None = Field(None, gt=0)

    def request(self, client_order_id: str) -> OrderRequest:
        """Return the order that carries out this decision under `client_order_id`."""
        return OrderRequest(
            client_order_id=client_order_id,
            symbol=self.symbol,
            side=self.action,
            quantity=self.quantity,
            limit_price=self.limit_price,
            as_of=self.as_of,
        )


class Order(BaseModel):
    """An order as a run sees it; amounts in shares and US dollars, `fees` None where none are reported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_order_id: str = Field(min_length=1, max_length=LONGEST_CLIENT_ORDER_ID)
    symbol: str
    side: Side
    quantity: Decimal = Field(gt=0)
    state: OrderState
    venue_order_id: str | None = None
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    fees: Decimal | None = None
    submitted_at: AwareDatetime | None = None
    filled_at: AwareDatetime | None = None
    reason: str | None = None

    @classmethod
    def of(cls, report: OrderReport) -> Self:
        """Return what the venue reports as a run's order."""
        return cls(
            client_order_id=report.client_order_id,
            symbol=report.symbol,
            side=report.side,
            quantity=report.quantity,
            state=report.state,
            venue_order_id=report.venue_order_id,
            filled_quantity=report.filled_quantity,
            average_price=report.average_price,
            fees=report.fees,
            submitted_at=report.submitted_at,
            filled_at=report.filled_at,
            reason=report.reason,
        )
