"""What every broker does: on paper in memory and in PostgreSQL, and over HTTP at a venue that speaks Alpaca's REST."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from services.executor.paper_book import SqlBook
from services.executor.paper_tables import metadata
from shared.alpaca import connect
from shared.domain.orders import OrderState
from shared.market_data.files import FileMarketData
from shared.trading.alpaca import AlpacaBroker
from shared.trading.book import Book
from shared.trading.broker import Broker, OrderRejected, OrderRequest, Side
from shared.trading.memory_book import MemoryBook
from shared.trading.paper import PaperBroker
from tests.venue import KEY, Venue, serving

CASH = Decimal(10_000)
DECIDED = FileMarketData().daily("MSFT", bars=2)["date"][0]
"""One bar before the last, so that the paper broker has a bar to fill with."""

Opener = Callable[[], AbstractContextManager[Broker]]
"""Opens the same account once more, as another worker would."""


def on_paper(book: Book) -> Opener:
    """Open one account of a book."""
    book.open_account("paper", CASH)

    @contextmanager
    def opener() -> Iterator[Broker]:
        yield PaperBroker(book, FileMarketData())

    return opener


@pytest.fixture
def memory() -> Opener:
    """The paper broker with a book in memory."""
    return on_paper(MemoryBook())


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with the paper broker's tables."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS paper"))
        metadata.create_all(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql(engine: Engine) -> Opener:
    """The paper broker with a book in PostgreSQL."""
    return on_paper(SqlBook(engine))


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """A venue on a real port."""
    with serving() as venue:
        yield venue


@pytest.fixture
def alpaca(venue: Venue) -> Opener:
    """Alpaca's adapter against the venue."""
    venue.reset(cash=CASH)

    @contextmanager
    def opener() -> Iterator[Broker]:
        with connect(venue.url, KEY) as client:
            yield AlpacaBroker(client)

    return opener


@pytest.fixture(params=["memory", "postgresql", "alpaca"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """One kind of account after the other, each with `CASH` and nothing else."""
    opener: Opener = request.getfixturevalue(request.param)
    return opener


@pytest.fixture
def broker(opener: Opener) -> Iterator[Broker]:
    """A broker over that account."""
    with opener() as broker:
        yield broker


def an_order(
    client_order_id: str = "order-1", *, symbol: str = "MSFT", side: Side = Side.BUY, quantity: int | str = 10
) -> OrderRequest:
    """A market order that every venue here fills at once."""
    return OrderRequest(
        client_order_id=client_order_id, symbol=symbol, side=side, quantity=Decimal(quantity), as_of=DECIDED
    )


def test_an_accepted_order_answers_what_was_asked(broker: Broker) -> None:
    """The report alone tells that it is this order."""
    report = broker.submit(an_order())
    assert report.answers(an_order())
    assert report.state in (OrderState.PLACED, OrderState.FILLED)
    assert report.submitted_at.tzinfo is not None


def test_an_order_is_found_by_its_client_order_id(broker: Broker) -> None:
    """This is how a worker that crashed learns what became of its order."""
    submitted = broker.submit(an_order())
    found = broker.find("order-1")
    assert found is not None
    assert found.venue_order_id == submitted.venue_order_id
    assert (found.state, found.filled_quantity) == (OrderState.FILLED, Decimal(10))
    assert found.filled_at is not None


def test_an_order_that_was_never_sent_is_not_found(broker: Broker) -> None:
    """None is an answer, not an error."""
    assert broker.find("never-sent") is None


def test_a_filled_buy_is_a_position_and_its_cost_has_left_the_cash(broker: Broker) -> None:
    """Cash falls by quantity times price, and by the fees where there are any, to the last digit."""
    broker.submit(an_order())
    found = broker.find("order-1")
    assert found is not None
    assert found.average_price is not None
    assert broker.positions() == {"MSFT": Decimal(10)}
    assert broker.cash() == CASH - 10 * found.average_price - (found.fees or 0)


def test_selling_everything_leaves_no_position(broker: Broker) -> None:
    """A position of zero is not listed."""
    broker.submit(an_order("buy"))
    broker.submit(an_order("sell", side=Side.SELL))
    assert broker.positions() == {}


def test_a_fraction_of_a_share_is_kept_exactly(broker: Broker) -> None:
    """Quantities are decimals on the whole way."""
    broker.submit(an_order("third", quantity="0.333"))
    broker.submit(an_order("rest", quantity="0.667"))
    assert broker.positions() == {"MSFT": Decimal(1)}


def test_an_order_sent_twice_is_one_order(broker: Broker) -> None:
    """Every adapter that says so may be sent to again after a lost answer."""
    assert broker.refuses_duplicates
    first = broker.submit(an_order())
    second = broker.submit(an_order())
    assert second.venue_order_id == first.venue_order_id
    assert broker.positions() == {"MSFT": Decimal(10)}


def test_one_client_order_id_sent_from_many_workers_at_once_is_one_order(opener: Opener) -> None:
    """The venue decides, not the luck of the moment."""

    def send(_: int) -> str:
        with opener() as broker:
            return broker.submit(an_order()).venue_order_id

    with ThreadPoolExecutor(8) as workers:
        assert len(set(workers.map(send, range(8)))) == 1
    with opener() as broker:
        assert broker.positions() == {"MSFT": Decimal(10)}


def test_orders_from_many_workers_at_once_add_up(opener: Opener) -> None:
    """No update of cash or position is lost."""

    def send(number: int) -> None:
        with opener() as broker:
            broker.submit(an_order(f"order-{number}", quantity=1))

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(send, range(24)))
    with opener() as broker:
        reports = [broker.find(f"order-{number}") for number in range(24)]
        spent = sum(r.average_price + (r.fees or 0) for r in reports if r is not None and r.average_price is not None)
        assert broker.positions() == {"MSFT": Decimal(24)}
        assert broker.cash() == CASH - spent


def test_many_workers_together_cannot_spend_the_same_cash(opener: Opener) -> None:
    """Cash for three orders lets three of eight pass."""

    def send(number: int) -> bool:
        with opener() as broker:
            try:
                broker.submit(an_order(f"order-{number}", quantity=120))
            except OrderRejected:
                return False
            return True

    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(send, range(8))) == 3
    with opener() as broker:
        assert broker.cash() >= 0


def test_a_used_client_order_id_does_not_carry_another_order(broker: Broker) -> None:
    """It is refused with a sentence, and the first order stays as it was."""
    broker.submit(an_order())
    with pytest.raises(OrderRejected, match=r"'order-1' already stands for another order \(buy 10 MSFT\)"):
        broker.submit(an_order(quantity=11))
    assert broker.positions() == {"MSFT": Decimal(10)}


def test_a_symbol_that_the_venue_does_not_know_is_rejected_by_name(broker: Broker) -> None:
    """Nothing of the order remains."""
    with pytest.raises(OrderRejected, match="NOPE"):
        broker.submit(an_order(symbol="NOPE"))
    assert broker.find("order-1") is None


def test_a_buy_beyond_the_cash_is_rejected(broker: Broker) -> None:
    """The account is left as it was."""
    with pytest.raises(OrderRejected, match=r"(?i)insufficient"):
        broker.submit(an_order(quantity=1_000))
    assert broker.positions() == {}
    assert broker.cash() == CASH


def test_a_sale_of_what_is_not_held_is_rejected(broker: Broker) -> None:
    """A cash account does not sell short."""
    broker.submit(an_order("buy", quantity=5))
    with pytest.raises(OrderRejected, match=r"(?i)short"):
        broker.submit(an_order("sell", side=Side.SELL, quantity=6))
    assert broker.positions() == {"MSFT": Decimal(5)}


def test_an_account_outlives_the_connection_to_it(opener: Opener) -> None:
    """What one worker did, the next one sees."""
    with opener() as first:
        first.submit(an_order())
    with opener() as second:
        assert second.positions() == {"MSFT": Decimal(10)}
        assert second.find("order-1") is not None
