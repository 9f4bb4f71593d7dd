"""What the Alpaca adapters make of a venue that is slow, cut off, busy or broken, over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from shared.alpaca import AlpacaKey, connect
from shared.domain.orders import OrderState
from shared.errors import PermanentError, TemporaryError
from shared.market_data.alpaca import AlpacaMarketData
from shared.market_data.rate_limit import RateLimit
from shared.trading.alpaca import AlpacaBroker
from shared.trading.broker import OrderAmbiguous, OrderRejected, OrderRequest, Side, VenueUnavailable
from tests.venue import KEY, Fault, Moment, Venue, serving

PATIENCE = httpx.Timeout(0.5)
TOO_LONG_SECONDS = 1.5
LOOKUP = "/v2/orders:by_client_order_id"
BARS = "/v2/stocks"
ORDER = OrderRequest(client_order_id="order-1", symbol="MSFT", side=Side.BUY, quantity=Decimal(10))


@pytest.fixture(scope="module")
def server() -> Iterator[Venue]:
    """A venue on a real port."""
    with serving() as venue:
        yield venue


@pytest.fixture
def venue(server: Venue) -> Venue:
    """The venue without orders or faults."""
    server.reset()
    return server


@pytest.fixture
def client(venue: Venue) -> Iterator[httpx.Client]:
    """A client with little patience."""
    with connect(venue.url, KEY, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def broker(client: httpx.Client) -> AlpacaBroker:
    """The adapter under test."""
    return AlpacaBroker(client)


@pytest.fixture
def market_data(client: httpx.Client) -> AlpacaMarketData:
    """The other adapter under test."""
    return AlpacaMarketData(client)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", moment=Moment.AFTER),
        Fault(kind="delay", moment=Moment.AFTER, seconds=TOO_LONG_SECONDS),
        Fault(kind="answer", moment=Moment.AFTER, status=500),
        Fault(kind="answer", moment=Moment.AFTER, status=504),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_an_order_that_arrived_without_an_answer_is_ambiguous_and_found_later(
    broker: AlpacaBroker, venue: Venue, fault: Fault
) -> None:
    """The sender cannot know, asks, and sending again makes no second order."""
    venue.fail(fault)
    with pytest.raises(OrderAmbiguous):
        broker.submit(ORDER)
    found = broker.find("order-1")
    assert found is not None
    assert found.state is OrderState.FILLED
    assert broker.submit(ORDER).venue_order_id == found.venue_order_id
    assert venue.accepted() == {"order-1": 1}


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="drop"), Fault(kind="answer", status=500), Fault(kind="answer", status=408)],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_an_order_that_was_lost_on_the_way_looks_the_same_to_the_sender(
    broker: AlpacaBroker, venue: Venue, fault: Fault
) -> None:
    """It is ambiguous too; here sending again is what brings it there."""
    venue.fail(fault)
    with pytest.raises(OrderAmbiguous):
        broker.submit(ORDER)
    assert broker.find("order-1") is None
    broker.submit(ORDER)
    assert venue.accepted() == {"order-1": 1}


def test_an_order_may_arrive_after_the_venue_has_said_that_it_does_not_know_it(
    broker: AlpacaBroker, venue: Venue
) -> None:
    """This is why `None` from `find` is no proof; the venue still takes only one."""
    venue.fail(Fault(kind="delay", seconds=TOO_LONG_SECONDS))
    with pytest.raises(OrderAmbiguous):
        broker.submit(ORDER)
    assert broker.find("order-1") is None
    first = broker.submit(ORDER)
    with connect(venue.url, KEY) as patient:  # its order is handled after the delayed one has arrived
        venue.fail(Fault(kind="delay", seconds=TOO_LONG_SECONDS))
        assert AlpacaBroker(patient).submit(ORDER).venue_order_id == first.venue_order_id
    assert [order["accepted"] for order in venue.received()] == [True, False, False]


@pytest.mark.parametrize(("header", "wait"), [("7", timedelta(seconds=7)), (None, None)])
def test_a_busy_venue_took_no_order_and_says_when_to_come_back(
    broker: AlpacaBroker, venue: Venue, header: str | None, wait: timedelta | None
) -> None:
    """429 is the one answer after which sending again needs no question."""
    venue.fail(Fault(kind="answer", status=429, retry_after=header))
    with pytest.raises(VenueUnavailable) as caught:
        broker.submit(ORDER)
    assert caught.value.retry_after == wait
    assert venue.received() == []


def test_a_venue_that_cannot_be_reached_took_no_order() -> None:
    """Nobody listens on the port, so nothing was sent."""
    with connect("http://127.0.0.1:1", KEY) as client, pytest.raises(VenueUnavailable, match="did not leave"):
        AlpacaBroker(client).submit(ORDER)


def test_a_wrong_key_is_rejected_with_what_to_check(venue: Venue) -> None:
    """No retry helps against it."""
    wrong = AlpacaKey(key_id="wrong", secret="wrong")
    with connect(venue.url, wrong) as client:
        with pytest.raises(OrderRejected, match="API key"):
            AlpacaBroker(client).submit(ORDER)
        with pytest.raises(PermanentError, match="API key"):
            AlpacaBroker(client).cash()
        with pytest.raises(PermanentError, match="API key"):
            AlpacaMarketData(client).daily("MSFT")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", method="GET", path=LOOKUP),
        Fault(kind="delay", method="GET", path=LOOKUP, seconds=TOO_LONG_SECONDS),
        Fault(kind="answer", method="GET", path=LOOKUP, status=503),
        Fault(kind="answer", method="GET", path=LOOKUP, status=429, retry_after="3"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_a_question_without_an_answer_is_temporary(broker: AlpacaBroker, venue: Venue, fault: Fault) -> None:
    """Asking changes nothing, so it may always be asked again."""
    broker.submit(ORDER)
    venue.fail(fault)
    with pytest.raises(VenueUnavailable):
        broker.find("order-1")
    assert broker.find("order-1") is not None


def test_a_duplicate_that_cannot_be_looked_up_is_ambiguous(broker: AlpacaBroker, venue: Venue) -> None:
    """The venue has an order of this id, and whether it is ours is not known yet."""
    broker.submit(ORDER)
    venue.fail(Fault(kind="answer", method="GET", path=LOOKUP, status=500))
    with pytest.raises(OrderAmbiguous):
        broker.submit(ORDER)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", method="GET", path=BARS),
        Fault(kind="delay", method="GET", path=BARS, seconds=TOO_LONG_SECONDS),
        Fault(kind="answer", method="GET", path=BARS, status=500),
        Fault(kind="answer", method="GET", path=BARS, status=503, retry_after="2"),
        Fault(kind="answer", method="GET", path=BARS, status=429, retry_after="2"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_bars_that_do_not_come_are_temporary(market_data: AlpacaMarketData, venue: Venue, fault: Fault) -> None:
    """The step that asked is tried again, no sooner than the server wants, and then succeeds."""
    venue.fail(fault)
    with pytest.raises(TemporaryError) as caught:
        market_data.daily("MSFT")
    wanted = timedelta(seconds=int(fault.retry_after)) if fault.retry_after else None
    assert caught.value.retry_after == wanted
    assert market_data.daily("MSFT").height == 250


@pytest.mark.parametrize(("status", "advice"), [(403, "plan"), (422, "dates")])
def test_bars_that_are_refused_are_permanent(
    market_data: AlpacaMarketData, venue: Venue, status: int, advice: str
) -> None:
    """The message says what to look at."""
    venue.fail(Fault(kind="answer", method="GET", path=BARS, status=status))
    with pytest.raises(PermanentError, match=advice):
        market_data.daily("MSFT")


def test_requests_beyond_the_rate_limit_wait_on_our_side(client: httpx.Client, venue: Venue) -> None:
    """The pages of one answer count too: three pages at two requests a minute make the third wait."""
    waits: list[float] = []
    venue.reset(page_size=10)
    limited = AlpacaMarketData(client, rate_limit=RateLimit(2, timedelta(minutes=1)), pause=waits.append)
    assert limited.daily("MSFT", bars=30).height == 30
    assert len(waits) == 1
    assert 55 < waits[0] <= 60
