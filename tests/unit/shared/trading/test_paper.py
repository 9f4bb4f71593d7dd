"""The paper broker's conventions: when it fills, at what price, and what it sets aside meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from shared.domain.orders import OrderState
from shared.errors import TemporaryError
from shared.testing import MemoryMarketData, bars
from shared.trading.book import BookUnavailable
from shared.trading.broker import OrderAmbiguous, OrderRejected, OrderRequest, Side, VenueUnavailable
from shared.trading.memory_book import Account, MemoryBook
from shared.trading.paper import PaperBroker

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 8), date(2024, 1, 9), date(2024, 1, 10)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASH = Decimal(1_000)


class GrowingMarketData:
    """Market data of X that has seen only the first `known` days of a longer history."""

    def __init__(self, closes: list[float], known: int) -> None:
        self._all = bars(closes, first=MONDAY)
        self.known = known
        self.fails_with: Exception | None = None

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Answer from what is known by now."""
        if self.fails_with:
            raise self.fails_with
        return MemoryMarketData({"X": self._all.head(self.known)}).daily(symbol, bars=bars, until=until)


@pytest.fixture
def market() -> GrowingMarketData:
    """Closes 10, 20, 30 from Monday to Wednesday, each opening at the close before; Wednesday is still to come."""
    return GrowingMarketData([10, 20, 30], known=2)


@pytest.fixture
def broker(market: GrowingMarketData) -> PaperBroker:
    """A broker over a new account."""
    return a_broker(market)


def a_broker(market: GrowingMarketData, *, short_selling: bool = False) -> PaperBroker:
    """A broker over a new account with `CASH`."""
    book = MemoryBook()
    book.open_account("paper", CASH)
    return PaperBroker(book, market, short_selling=short_selling, now=lambda: NOW)


def an_order(
    client_order_id: str = "order-1",
    *,
    side: Side = Side.BUY,
    quantity: int = 10,
    limit: int | None = None,
    as_of: date | None = None,
) -> OrderRequest:
    """An order for X."""
    return OrderRequest(
        client_order_id=client_order_id,
        symbol="X",
        side=side,
        quantity=Decimal(quantity),
        limit_price=Decimal(limit) if limit else None,
        as_of=as_of,
    )


def test_an_order_as_of_a_past_day_is_filled_at_the_next_open(broker: PaperBroker) -> None:
    """Decided after Monday's close of 10; Tuesday opened at 10, at 9:30 in New York, which is 14:30 UTC."""
    report = broker.submit(an_order(as_of=MONDAY))
    assert (report.state, report.average_price, report.fees) == (OrderState.FILLED, Decimal(10), Decimal(1))
    assert report.filled_at == datetime(2024, 1, 9, 14, 30, tzinfo=UTC)
    assert report.submitted_at == NOW
    assert broker.cash() == CASH - 100 - 1


def test_an_order_as_of_a_weekend_is_filled_on_the_day_after_it(market: GrowingMarketData) -> None:
    """The Sunday before Monday has no bar of its own, and needs an older one to exist."""
    friday = GrowingMarketData([9, 10, 11], known=3)
    friday._all = bars([9, 10, 11], first=date(2024, 1, 5))
    report = a_broker(friday).submit(an_order(as_of=date(2024, 1, 7)))
    assert report.filled_at == datetime(2024, 1, 8, 14, 30, tzinfo=UTC)


def test_an_order_on_the_newest_bar_waits_for_the_next_one(broker: PaperBroker, market: GrowingMarketData) -> None:
    """It is placed, however often one asks, until Wednesday's bar is there; that one opened at 20."""
    assert broker.submit(an_order()).state is OrderState.PLACED
    waiting = broker.find("order-1")
    assert waiting is not None
    assert waiting.state is OrderState.PLACED
    market.known = 3
    filled = broker.find("order-1")
    assert filled is not None
    assert (filled.state, filled.average_price) == (OrderState.FILLED, Decimal(20))
    assert filled.filled_at == datetime(2024, 1, 10, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize("question", ["positions", "cash"])
def test_a_waiting_order_is_filled_whatever_is_asked_first(
    broker: PaperBroker, market: GrowingMarketData, question: str
) -> None:
    """The account never shows a past that is over."""
    broker.submit(an_order())
    market.known = 3
    expected = {"positions": {"X": Decimal(10)}, "cash": CASH - 200 - 1}
    assert getattr(broker, question)() == expected[question]


def test_a_waiting_buy_sets_its_cash_aside(broker: PaperBroker) -> None:
    """At the last close of 20, 30 shares and their fee leave 399 for others."""
    broker.submit(an_order("first", quantity=30))
    assert broker.cash() == CASH
    with pytest.raises(OrderRejected, match=r"need 401.00 USD with fees, and 399.00 USD are available"):
        broker.submit(an_order("second", quantity=20))


def test_a_waiting_sale_sets_its_shares_aside(broker: PaperBroker) -> None:
    """Ten shares cannot be sold twice."""
    broker.submit(an_order("buy", as_of=MONDAY))
    broker.submit(an_order("sell", side=Side.SELL, quantity=6))
    with pytest.raises(OrderRejected, match=r"sells 5 X and the account has 4 free to sell"):
        broker.submit(an_order("again", side=Side.SELL, quantity=5))


def test_an_order_that_the_open_has_made_too_dear_ends_unfilled() -> None:
    """48 shares at the last close of 20 fit the cash; at an open of 30 they do not."""
    market = GrowingMarketData([10, 20, 30, 40], known=2)
    broker = a_broker(market)
    broker.submit(an_order(quantity=48))
    market._all = market._all.with_columns(open=pl.lit(30.0))
    market.known = 3
    ended = broker.find("order-1")
    assert ended is not None
    assert ended.state is OrderState.REJECTED
    assert ended.reason is not None
    assert ended.reason.startswith("Insufficient cash: 48 X at 30.0 need 1441.00 USD")
    assert broker.positions() == {}
    assert broker.cash() == CASH


def test_a_day_order_whose_limit_is_not_reached_ends_unfilled(broker: PaperBroker) -> None:
    """Tuesday traded from 10 to 20; the answer is the same however often it is sent."""
    for _ in range(2):
        with pytest.raises(OrderRejected, match=r"traded from 10.0 to 20.0 and never reached its limit of 9"):
            broker.submit(an_order(limit=9, as_of=MONDAY))
    ended = broker.find("order-1")
    assert ended is not None
    assert ended.state is OrderState.REJECTED


def test_short_selling_may_be_allowed(market: GrowingMarketData) -> None:
    """The proceeds less the fee are cash, the position is negative, and buying back closes it."""
    broker = a_broker(market, short_selling=True)
    broker.submit(an_order("short", side=Side.SELL, as_of=MONDAY))
    assert broker.positions() == {"X": Decimal(-10)}
    assert broker.cash() == CASH + 100 - 1
    broker.submit(an_order("cover", as_of=MONDAY))
    assert broker.positions() == {}


def test_a_known_order_is_answered_without_asking_for_prices(broker: PaperBroker, market: GrowingMarketData) -> None:
    """Sending it again after a crash works while market data is away."""
    first = broker.submit(an_order(as_of=MONDAY))
    market.fails_with = TemporaryError("away")
    assert broker.submit(an_order(as_of=MONDAY)) == first


def test_without_prices_the_venue_is_away_and_took_nothing(broker: PaperBroker, market: GrowingMarketData) -> None:
    """The wait that market data asks for is passed on."""
    market.fails_with = TemporaryError("busy", retry_after=7)
    with pytest.raises(VenueUnavailable, match="busy") as caught:
        broker.submit(an_order())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7
    market.fails_with = None
    assert broker.find("order-1") is None


class FailingBook(MemoryBook):
    """A book that loses its connection when the transaction number `fails_at` wants to commit."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.fails_at = fails_at
        self._count = 0

    @contextmanager
    def transaction(self, account_id: str) -> Iterator[Account]:
        """Let the transaction pass, then say that it may not have."""
        with super().transaction(account_id) as account:
            yield account
        self._count += 1
        if self._count == self.fails_at:
            raise BookUnavailable("connection lost while committing")


def test_a_commit_without_an_answer_makes_the_order_ambiguous(market: GrowingMarketData) -> None:
    """The third transaction of `submit` is the one that takes the order; sent again it is still one."""
    book = FailingBook(fails_at=3)
    book.open_account("paper", CASH)
    broker = PaperBroker(book, market)
    with pytest.raises(OrderAmbiguous):
        broker.submit(an_order(as_of=MONDAY))
    broker.submit(an_order(as_of=MONDAY))
    assert broker.positions() == {"X": Decimal(10)}


def test_a_book_that_does_not_answer_a_question_is_a_venue_that_is_away(market: GrowingMarketData) -> None:
    """Asking changes nothing."""
    book = FailingBook(fails_at=2)
    book.open_account("paper", CASH)
    with pytest.raises(VenueUnavailable):
        PaperBroker(book, market).find("order-1")
