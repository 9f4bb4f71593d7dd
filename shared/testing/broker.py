"""A broker for tests, in the place where the executor places orders by way of the log."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256

from shared.trading.broker import LONGEST_CLIENT_ORDER_ID, OrderRequest
from shared.workflow.context import Position
from shared.workflow.errors import PermanentError
from shared.workflow.orders import Decision, Order, OrderState

SUBMITTED_AT = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
"""When every order of a test is sent and filled: the open of an exchange day."""

Price = Decimal | float | int | str


class FakeBroker:
    """Fills each order in full at the price given for its symbol, without fees; `orders` is its book, in order.

    `prices` is one price for all symbols, or one by symbol; without a price an order stays `placed`. `rejects` gives
    the symbols that the venue refuses, with its reasons: such an order comes back `rejected`, as in the executor.
    `errors` are raised one by one by the first calls, before anything is placed: give a TemporaryError to see a retry.
    """

    def __init__(
        self,
        prices: Mapping[str, Price] | Price | None = None,
        *,
        rejects: Mapping[str, str] | None = None,
        errors: Iterable[Exception] = (),
    ) -> None:
        self._prices = prices
        self._rejects = dict(rejects or {})
        self._errors = list(errors)
        self._book: dict[str, tuple[OrderRequest, Order]] = {}

    @property
    def orders(self) -> list[Order]:
        """Return every order, rejected ones too, in the sequence in which they were placed."""
        return [order for _, order in self._book.values()]

    def at(self, task_id: str, position: Position) -> "FakePlacer":
        """Return what `ctx.broker` is at one position; its ordinals start anew, as when a step is tried again."""
        return FakePlacer(self, task_id, position)

    def submit(self, request: OrderRequest) -> Order:
        """Place an order; the same one again answers with the first. Raises PermanentError for another of its id."""
        if self._errors:
            raise self._errors.pop(0)
        known = self._book.get(request.client_order_id)
        if known is None:
            known = self._book[request.client_order_id] = (request, self._answer(request))
        if known[0] != request:
            raise PermanentError(
                f"Order {request.client_order_id} was placed as {known[0]} and now as {request}. The step decided "
                "otherwise when it ran again; place(d, key=...) keeps orders apart whose sequence may change."
            )
        return known[1]

    def _answer(self, request: OrderRequest) -> Order:
        order = Order(
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            state=OrderState.REJECTED,
            reason=self._rejects.get(request.symbol),
        )
        if request.symbol in self._rejects:
            return order
        accepted = {"venue_order_id": f"fake-{len(self._book) + 1}", "submitted_at": SUBMITTED_AT}
        price = self._price(request.symbol)
        if price is None:
            return order.model_copy(update=accepted | {"state": OrderState.PLACED})
        filled = {"filled_quantity": request.quantity, "average_price": price, "filled_at": SUBMITTED_AT}
        return order.model_copy(update=accepted | filled | {"state": OrderState.FILLED})

    def _price(self, symbol: str) -> Decimal | None:
        price = self._prices.get(symbol) if isinstance(self._prices, Mapping) else self._prices
        return Decimal(str(price)) if price is not None else None


class FakePlacer:
    """The `ctx.broker` of one position."""

    def __init__(self, broker: FakeBroker, task_id: str, position: Position) -> None:
        self._broker = broker
        self._task_id = task_id
        self._position = position
        self._ordinal = 0

    def place(self, decision: Decision, key: str | None = None) -> Order:
        """Place `decision` once under an id that derives from task, step, symbol and ordinal or `key`."""
        if key is None:
            self._ordinal += 1
        return self._broker.submit(decision.request(self._id(key or str(self._ordinal))))

    def _id(self, mark: str) -> str:
        readable = "-".join((self._task_id, self._position.step, self._position.symbol or "", mark))
        return readable if len(readable) <= LONGEST_CLIENT_ORDER_ID else sha256(readable.encode()).hexdigest()
