"""A broker that trades on paper: real prices, invented money.

Conventions, all of this project: an order is filled whole, at the open of the first daily bar after `as_of` (a day
limit order within that bar's range), with no slippage; until that bar exists it stays placed. Prices are the
adjusted ones of the market data. Cash is never borrowed, and nothing is sold short unless allowed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from shared.domain.orders import OrderState
from shared.errors import TemporaryError
from shared.market_data.protocol import MarketData, NoBars
from shared.trading.book import Book, BookUnavailable, Ledger, PaperOrder
from shared.trading.broker import (
    OrderAmbiguous,
    OrderRejected,
    OrderReport,
    OrderRequest,
    VenueUnavailable,
    unless_rejected,
)
from shared.trading.fees import FeeSchedule
from shared.trading.fills import fill, fill_price, shortfall
from shared.trading.quotes import Bar, Quote, bar_after, quote


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


class PaperBroker:
    """A `Broker` over one account of a book; any number of them, in any processes, may share the account."""

    refuses_duplicates = True

    def __init__(
        self,
        book: Book,
        market_data: MarketData,
        *,
        account_id: str = "paper",
        fees: FeeSchedule | None = None,
        short_selling: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._book = book
        self._market_data = market_data
        self._account_id = account_id
        self._fees = fees or FeeSchedule()
        self._short_selling = short_selling
        self._now = now

    def submit(self, request: OrderRequest) -> OrderReport:
        """Accept an order, and fill it if the next bar is known already (see `Broker.submit`)."""
        self._settle_waiting()
        with self._reading() as ledger:
            known = ledger.order(request.client_order_id)
        order = known or self._take(request, self._prices(request))
        if order.request.fingerprint != request.fingerprint:
            raise OrderRejected(
                f"The client order id {request.client_order_id!r} already stands for another order "
                f"({order.request.side} {order.request.quantity} {order.request.symbol}): use a new id."
            )
        return unless_rejected(order.report)

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return the order as it stands, filled by now if its bar has come (see `Broker.find`)."""
        self._settle_waiting()
        with self._reading() as ledger:
            order = ledger.order(client_order_id)
        return order.report if order else None

    def cash(self) -> Decimal:
        """Return the account's cash in US dollars."""
        self._settle_waiting()
        with self._reading() as ledger:
            return ledger.cash

    def positions(self) -> dict[str, Decimal]:
        """Return shares held by symbol."""
        self._settle_waiting()
        with self._reading() as ledger:
            return ledger.positions()

    def _take(self, request: OrderRequest, prices: Quote) -> PaperOrder:
        """Return the order of this id as the book has it in the end: a simultaneous twin may have been first."""
        try:
            with self._book.transaction(self._account_id) as ledger:
                return ledger.order(request.client_order_id) or self._accept(ledger, request, prices)
        except BookUnavailable as error:
            raise OrderAmbiguous(f"The paper book failed while it took the order: {error}") from error

    def _accept(self, ledger: Ledger, request: OrderRequest, prices: Quote) -> PaperOrder:
        reached = fill_price(request, prices.after) if prices.after else None
        expected = reached or request.limit_price or prices.close
        refusal = shortfall(ledger, request, expected, self._fees, short_selling=self._short_selling)
        if refusal is not None:
            raise OrderRejected(refusal)
        order = self._placed(request, prices, expected)
        ledger.keep(order)
        return self._fill(ledger, order, prices.after) if prices.after else order

    def _fill(self, ledger: Ledger, order: PaperOrder, bar: Bar) -> PaperOrder:
        return fill(ledger, order, bar, self._fees, short_selling=self._short_selling)

    def _placed(self, request: OrderRequest, prices: Quote, expected: Decimal) -> PaperOrder:
        report = OrderReport(
            client_order_id=request.client_order_id,
            venue_order_id=str(uuid5(NAMESPACE_URL, f"paper:{self._account_id}:{request.client_order_id}")),
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            limit_price=request.limit_price,
            state=OrderState.PLACED,
            submitted_at=self._now(),
        )
        return PaperOrder(request=request, decided_on=prices.decided_on, reference_price=expected, report=report)

    def _prices(self, request: OrderRequest) -> Quote:
        try:
            with temporary_as_unavailable():
                return quote(self._market_data, request.symbol, request.as_of)
        except NoBars as error:
            raise OrderRejected(f"The paper broker has no price for {request.symbol}: {error}") from error

    def _settle_waiting(self) -> None:
        """Fill what waits and can be filled by now; market data is read while the account is not locked."""
        with self._reading() as ledger:
            waiting = ledger.open_orders()
        with temporary_as_unavailable():
            bars = {o: bar_after(self._market_data, o.request.symbol, o.decided_on) for o in waiting}
        if not any(bars.values()):
            return
        with self._reading() as ledger:
            for order in ledger.open_orders():
                if bar := bars.get(order):
                    self._fill(ledger, order, bar)

    @contextmanager
    def _reading(self) -> Iterator[Ledger]:
        """A transaction that may be repeated, so that a failing book is the venue being away."""
        with temporary_as_unavailable(), self._book.transaction(self._account_id) as ledger:
            yield ledger


@contextmanager
def temporary_as_unavailable() -> Iterator[None]:
    """Tell a part of ours that does not answer as the venue being away."""
    try:
        yield
    except TemporaryError as error:
        raise VenueUnavailable(f"The paper broker has to wait: {error}", retry_after=error.retry_after) from error
