"""The paper broker's book in PostgreSQL: workers in any number of processes share its accounts exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from services.executor.paper_tables import accounts, orders, positions
from shared.domain.orders import OrderState
from shared.trading.book import BookUnavailable, PaperOrder, UnknownAccount
from shared.trading.broker import OrderReport, OrderRequest, Side


class SqlBook:
    """A `Book` over SQLAlchemy; a transaction holds the account's row, so that accounts change one at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_account(self, account_id: str, cash: Decimal) -> None:
        """Open an account with `cash` US dollars; one that is open already stays as it is."""
        statement = insert(accounts).values(account_id=account_id, cash=cash).on_conflict_do_nothing()
        with answering(), self._engine.begin() as connection:
            connection.execute(statement)

    @contextmanager
    def transaction(self, account_id: str) -> Iterator["SqlLedger"]:
        """Lock an account for the length of the context (see `Book.transaction`)."""
        with answering(), self._engine.begin() as connection:
            row = select(accounts.c.cash).where(accounts.c.account_id == account_id).with_for_update()
            cash = connection.execute(row).scalar_one_or_none()
            if cash is None:
                raise UnknownAccount(f"There is no paper account {account_id!r}: open it first.")
            yield SqlLedger(connection, account_id, cash)


class SqlLedger:
    """One locked account; amounts are PostgreSQL's unbounded numeric, so nothing is ever rounded."""

    def __init__(self, connection: Connection, account_id: str, cash: Decimal) -> None:
        self._connection = connection
        self._account_id = account_id
        self._cash = cash

    @property
    def cash(self) -> Decimal:
        """Cash in US dollars."""
        return self._cash

    def positions(self) -> dict[str, Decimal]:
        """Return shares by symbol (see `Ledger.positions`)."""
        query = (
            select(positions.c.symbol, positions.c.shares)
            .where(positions.c.account_id == self._account_id, positions.c.shares != 0)
            .order_by(positions.c.symbol)
        )
        return {row.symbol: row.shares for row in self._connection.execute(query)}

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return the order of this id."""
        query = select(orders).where(
            orders.c.account_id == self._account_id, orders.c.client_order_id == client_order_id
        )
        row = self._connection.execute(query).mappings().one_or_none()
        return from_row(row) if row else None

    def open_orders(self) -> list[PaperOrder]:
        """Return the orders that still wait to be filled, oldest first."""
        query = (
            select(orders)
            .where(orders.c.account_id == self._account_id, orders.c.state == OrderState.PLACED.value)
            .order_by(orders.c.arrival)
        )
        return [from_row(row) for row in self._connection.execute(query).mappings()]

    def keep(self, order: PaperOrder) -> None:
        """Add an order, or replace the one of the same client order id."""
        row = to_row(order)
        statement = insert(orders).values(account_id=self._account_id, **row)
        statement = statement.on_conflict_do_update(
            index_elements=[orders.c.account_id, orders.c.client_order_id], set_=row
        )
        self._connection.execute(statement)

    def move(self, symbol: str, *, shares: Decimal, cash: Decimal) -> None:
        """Add to a position and to the cash; either may be negative."""
        self._cash += cash
        self._connection.execute(
            update(accounts).where(accounts.c.account_id == self._account_id).values(cash=self._cash)
        )
        statement = insert(positions).values(account_id=self._account_id, symbol=symbol, shares=shares)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[positions.c.account_id, positions.c.symbol],
                set_={"shares": positions.c.shares + statement.excluded.shares},
            )
        )


@contextmanager
def answering() -> Iterator[None]:
    """Tell a lost or refused connection as BookUnavailable; other database errors are bugs and stay as they are."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or never_connected(error):
            raise BookUnavailable(f"The paper book's database does not answer: {error.orig}") from error
        raise


def never_connected(error: DBAPIError) -> bool:
    """Tell whether no connection came about at all: the server has then given the error no SQLSTATE."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) is None


def to_row(order: PaperOrder) -> dict[str, Any]:
    """Return an order as a row of `orders`, without its account."""
    report = asdict(order.report)
    report["side"] = order.report.side.value
    report["state"] = order.report.state.value
    return {
        **report,
        "as_of": order.request.as_of,
        "decided_on": order.decided_on,
        "reference_price": order.reference_price,
    }


def from_row(row: RowMapping) -> PaperOrder:
    """Return the order that a row of `orders` holds."""
    side = Side(row["side"])
    asked = {name: row[name] for name in ("client_order_id", "symbol", "quantity", "limit_price")}
    request = OrderRequest(**asked, side=side, as_of=row["as_of"])
    known = (
        "venue_order_id",
        "submitted_at",
        "filled_quantity",
        "average_price",
        "fees",
        "filled_at",
        "reason",
    )
    report = OrderReport(**asked, side=side, state=OrderState(row["state"]), **{name: row[name] for name in known})
    return PaperOrder(
        request=request,
        decided_on=row["decided_on"],
        reference_price=row["reference_price"],
        report=report,
    )
