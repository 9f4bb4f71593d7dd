"""How a paper order is filled: pure arithmetic over a ledger, a quote and a fee schedule."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from shared.domain.orders import OrderState
from shared.trading.book import Ledger, PaperOrder
from shared.trading.broker import OrderReport, OrderRequest, Side
from shared.trading.fees import FeeSchedule
from shared.trading.quotes import Bar

OPENING = time(9, 30, tzinfo=ZoneInfo("America/New_York"))
"""When a paper fill is said to have happened: the opening of the US exchanges on the bar's day."""


def fill_price(request: OrderRequest, bar: Bar) -> Decimal | None:
    """Return what the order gets on `bar`, in US dollars a share; None when its limit was never reached.

    At market it is the open. At a limit it is the open where that is as good, else the limit itself, provided
    that the day's range reached it.
    """
    limit = request.limit_price
    if limit is None:
        return bar.open
    if request.side is Side.BUY:
        return min(bar.open, limit) if bar.low <= limit else None
    return max(bar.open, limit) if bar.high >= limit else None


def cash_change(request: OrderRequest, price: Decimal, fee: Decimal) -> Decimal:
    """Return what filling the whole order at `price` adds to the cash: negative for a buy."""
    value = request.quantity * price
    return -value - fee if request.side is Side.BUY else value - fee


def shortfall(
    ledger: Ledger, request: OrderRequest, price: Decimal, fees: FeeSchedule, *, short_selling: bool
) -> str | None:
    """Return why the account cannot carry the order at `price`, as a sentence; None if it can.

    Cash and shares that other waiting orders will need are not available to this one.
    """
    others = [o for o in ledger.open_orders() if o.request.client_order_id != request.client_order_id]
    needed = -cash_change(request, price, fees.charge(request.quantity))
    available = ledger.cash + sum((set_aside(order, fees) for order in others), Decimal(0))
    if needed > available:
        return (
            f"Insufficient cash: {request.quantity} {request.symbol} at {price} need {needed:.2f} USD with fees, "
            f"and {available:.2f} USD are available. Buy less, or add cash to the account."
        )
    if request.side is Side.SELL and not short_selling:
        held = ledger.positions().get(request.symbol, Decimal(0))
        free = held - sum((o.request.quantity for o in others if is_sale_of(o, request.symbol)), Decimal(0))
        if request.quantity > free:
            return (
                f"Short sale: the order sells {request.quantity} {request.symbol} and the account has {free} free "
                "to sell. Sell less, or allow short selling for this account."
            )
    return None


def set_aside(order: PaperOrder, fees: FeeSchedule) -> Decimal:
    """Return the cash that a waiting order takes out of reach, as a number of 0 or below."""
    change = cash_change(order.request, order.reference_price, fees.charge(order.request.quantity))
    return min(change, Decimal(0))


def is_sale_of(order: PaperOrder, symbol: str) -> bool:
    """Tell whether a waiting order sells `symbol`."""
    return order.request.side is Side.SELL and order.request.symbol == symbol


def fill(ledger: Ledger, order: PaperOrder, bar: Bar, fees: FeeSchedule, *, short_selling: bool) -> PaperOrder:
    """Fill a waiting order on `bar`, or end it unfilled; the ledger keeps what became of it, which is returned."""
    request = order.request
    price = fill_price(request, bar)
    if price is None:
        report = ended(order.report, unreached(request, bar))
    elif refusal := shortfall(ledger, request, price, fees, short_selling=short_selling):
        report = ended(order.report, refusal)
    else:
        fee = fees.charge(request.quantity)
        shares = request.quantity if request.side is Side.BUY else -request.quantity
        ledger.move(request.symbol, shares=shares, cash=cash_change(request, price, fee))
        report = filled(order.report, price, fee, bar.day)
    settled = replace(order, report=report)
    ledger.keep(settled)
    return settled


def unreached(request: OrderRequest, bar: Bar) -> str:
    """Return the sentence for a limit order whose day has passed."""
    return (
        f"The day order ended unfilled: on {bar.day} {request.symbol} traded from {bar.low} to {bar.high} "
        f"and never reached its limit of {request.limit_price}."
    )


def ended(report: OrderReport, reason: str) -> OrderReport:
    """Return the report of a waiting order that will not be filled."""
    return replace(report, state=OrderState.REJECTED, reason=reason)


def filled(report: OrderReport, price: Decimal, fee: Decimal, day: date) -> OrderReport:
    """Return the report of a waiting order after it was filled whole."""
    return replace(
        report,
        state=OrderState.FILLED,
        filled_quantity=report.quantity,
        average_price=price,
        fees=fee,
        filled_at=datetime.combine(day, OPENING).astimezone(UTC),
    )
