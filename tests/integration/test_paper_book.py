"""The paper book when PostgreSQL goes away, or was never there."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError

from services.executor.paper_book import SqlBook
from services.executor.paper_tables import metadata
from shared.trading.book import BookUnavailable

CASH = Decimal(100)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with the paper broker's tables."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS paper"))
        metadata.create_all(connection)
    yield engine
    engine.dispose()


def test_a_connection_cut_in_a_transaction_is_temporary_and_leaves_nothing_behind(engine: Engine) -> None:
    """The whole transaction is rolled back by the server, and the next one finds the account as it was."""
    book = SqlBook(engine)
    book.open_account("a", CASH)
    backends = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle in transaction'"
    )
    with pytest.raises(BookUnavailable), book.transaction("a") as ledger:
        ledger.move("MSFT", shares=Decimal(1), cash=-CASH)
        with engine.connect() as other:
            assert other.execute(backends).scalars().all() == [True]
    with book.transaction("a") as ledger:
        assert (ledger.cash, ledger.positions()) == (CASH, {})


def test_a_database_that_cannot_be_reached_is_temporary() -> None:
    """Nobody listens on the port."""
    book = SqlBook(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    with pytest.raises(BookUnavailable, match="does not answer"):
        book.open_account("a", CASH)


def test_a_mistake_of_ours_is_not_told_as_a_database_that_is_away(engine: Engine) -> None:
    """It would be retried for ever."""
    with pytest.raises(IntegrityError):
        SqlBook(engine).open_account("a", None)  # type: ignore[arg-type]
