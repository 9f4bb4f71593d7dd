"""What every book of the paper broker does: in memory and in PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine, make_url, text

from services.executor.paper_book import SqlBook
from services.executor.paper_tables import metadata
from shared.domain.orders import OrderState
from shared.trading.book import Book, PaperOrder, UnknownAccount
from shared.trading.broker import OrderReport, OrderRequest, Side
from shared.trading.memory_book import MemoryBook

CASH = Decimal("1000.10")
DEADLINE_SECONDS = 10


@pytest.fixture
def postgresql(database_url: str) -> Iterator[Book]:
    """A book in PostgreSQL."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS paper"))
        metadata.create_all(connection)
    yield SqlBook(engine)
    engine.dispose()


@pytest.fixture(params=["memory", "postgresql"])
def book(request: pytest.FixtureRequest) -> Book:
    """One book after the other, with the account `a` opened."""
    book: Book = MemoryBook() if request.param == "memory" else request.getfixturevalue("postgresql")
    book.open_account("a", CASH)
    return book


def a_waiting_order(client_order_id: str) -> PaperOrder:
    """A limit order with a value in every field that can have one while it waits."""
    request = OrderRequest(
        client_order_id=client_order_id,
        symbol="MSFT",
        side=Side.BUY,
        quantity=Decimal("0.123456789012345678901"),
        limit_price=Decimal("24.1"),
        as_of=date(2013, 2, 28),
    )
    report = OrderReport(
        client_order_id=client_order_id,
        venue_order_id="venue-1",
        symbol="MSFT",
        side=Side.BUY,
        quantity=request.quantity,
        limit_price=request.limit_price,
        state=OrderState.PLACED,
        submitted_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    )
    return PaperOrder(request=request, decided_on=date(2013, 2, 28), reference_price=Decimal("24.1"), report=report)


def test_an_account_begins_with_its_cash_and_nothing_else(book: Book) -> None:
    """The amount is kept to the last digit."""
    with book.transaction("a") as ledger:
        assert (ledger.cash, ledger.positions(), ledger.open_orders()) == (CASH, {}, [])


def test_opening_an_account_again_changes_nothing(book: Book) -> None:
    """Every worker may open the account when it starts."""
    book.open_account("a", Decimal(5))
    with book.transaction("a") as ledger:
        assert ledger.cash == CASH


def test_an_account_that_nobody_opened_is_refused(book: Book) -> None:
    """Money does not appear because a name was mistyped."""
    with pytest.raises(UnknownAccount, match="'b'"), book.transaction("b"):
        pytest.fail("the account opened itself")


def test_what_was_moved_is_seen_in_the_transaction_and_after_it(book: Book) -> None:
    """Shares and cash add up exactly, and a position of zero is gone."""
    with book.transaction("a") as ledger:
        ledger.move("MSFT", shares=Decimal("0.3"), cash=Decimal("-10.01"))
        ledger.move("IBM", shares=Decimal(-2), cash=Decimal(20))
        ledger.move("MSFT", shares=Decimal("-0.3"), cash=Decimal("0.005"))
        assert (ledger.cash, ledger.positions()) == (Decimal("1010.095"), {"IBM": Decimal(-2)})
    with book.transaction("a") as ledger:
        assert (ledger.cash, ledger.positions()) == (Decimal("1010.095"), {"IBM": Decimal(-2)})


def test_nothing_is_kept_after_an_exception(book: Book) -> None:
    """A transaction is all or nothing."""
    with pytest.raises(ZeroDivisionError), book.transaction("a") as ledger:
        ledger.move("MSFT", shares=Decimal(1), cash=Decimal(-1))
        ledger.keep(a_waiting_order("one"))
        raise ZeroDivisionError
    with book.transaction("a") as ledger:
        assert (ledger.cash, ledger.positions(), ledger.order("one")) == (CASH, {}, None)


def test_an_order_comes_back_as_it_was_kept(book: Book) -> None:
    """Every field survives, however many digits it has."""
    with book.transaction("a") as ledger:
        ledger.keep(a_waiting_order("one"))
    with book.transaction("a") as ledger:
        assert ledger.order("one") == a_waiting_order("one")


def test_waiting_orders_come_in_the_order_of_their_arrival(book: Book) -> None:
    """An order that is filled waits no longer, and keeps what it became."""
    with book.transaction("a") as ledger:
        for name in ("z", "a", "m"):
            ledger.keep(a_waiting_order(name))
        filled = a_waiting_order("a")
        report = replace(
            filled.report,
            state=OrderState.FILLED,
            filled_quantity=filled.report.quantity,
            average_price=Decimal("24.05"),
            fees=Decimal("1.00"),
            filled_at=datetime(2013, 3, 1, 14, 30, tzinfo=UTC),
        )
        ledger.keep(replace(filled, report=report))
    with book.transaction("a") as ledger:
        assert [order.request.client_order_id for order in ledger.open_orders()] == ["z", "m"]
        assert ledger.order("a") == replace(filled, report=report)


def test_accounts_do_not_see_one_another(book: Book) -> None:
    """The same client order id may stand in two accounts."""
    book.open_account("b", Decimal(1))
    with book.transaction("a") as ledger:
        ledger.keep(a_waiting_order("one"))
        ledger.move("MSFT", shares=Decimal(1), cash=Decimal(-1))
    with book.transaction("b") as ledger:
        assert (ledger.cash, ledger.positions(), ledger.open_orders()) == (Decimal(1), {}, [])
        assert ledger.order("one") is None


def test_a_second_transaction_waits_for_the_first(book: Book) -> None:
    """The later one sees what the earlier one did."""
    seen: list[Decimal] = []
    asked = Event()

    def later() -> None:
        asked.set()
        with book.transaction("a") as ledger:
            seen.append(ledger.cash)

    with book.transaction("a") as ledger:
        thread = Thread(target=later)
        thread.start()
        assert asked.wait(DEADLINE_SECONDS)
        thread.join(0.2)
        assert seen == []
        ledger.move("MSFT", shares=Decimal(1), cash=-CASH)
    thread.join(DEADLINE_SECONDS)
    assert seen == [0]
