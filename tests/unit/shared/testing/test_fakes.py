"""The fakes that `shared.testing` gives to users."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from shared.market_data.protocol import BAR_SCHEMA, NoBars, UnknownSymbol
from shared.testing import FakeBroker, MemoryMarketData, bars
from shared.trading.broker import LONGEST_CLIENT_ORDER_ID
from shared.workflow import Decision
from shared.workflow.context import Position
from shared.workflow.orders import OrderState, Side


def buy(symbol: str = "MSFT") -> Decision:
    """Return a decision to buy three shares."""
    return Decision(symbol=symbol, action=Side.BUY, quantity=Decimal(3), reason="test")


def test_bars_fall_on_weekdays_and_open_at_the_last_close() -> None:
    """2024-01-05 was a Friday."""
    frame = bars([10, 12, 11], first=date(2024, 1, 5))
    assert frame.schema == BAR_SCHEMA
    assert frame["date"].to_list() == [date(2024, 1, 5), date(2024, 1, 8), date(2024, 1, 9)]
    assert frame.select("open", "high", "low", "close").rows() == [
        (10.0, 10.0, 10.0, 10.0),
        (10.0, 12.0, 10.0, 12.0),
        (12.0, 12.0, 11.0, 11.0),
    ]
    assert bars([]).height == 0


def test_market_data_in_memory_answers_as_a_real_source_does() -> None:
    """The newest bars, up to a day, and errors of the same classes."""
    source = MemoryMarketData({"MSFT": bars([1, 2, 3])})
    assert source.daily("MSFT", bars=2)["close"].to_list() == [2.0, 3.0]
    assert source.daily("MSFT", until=date(2024, 1, 3))["close"].to_list() == [1.0, 2.0]
    with pytest.raises(UnknownSymbol, match="no bars of IBM, only of MSFT"):
        source.daily("IBM")
    with pytest.raises(NoBars, match="up to 2023-12-31"):
        source.daily("MSFT", until=date(2023, 12, 31))
    with pytest.raises(ValueError, match="at least one bar"):
        source.daily("MSFT", bars=0)


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame({"close": [1.0]}), bars([1, 2]).reverse(), pl.concat([bars([1]), bars([1])])],
    ids=["columns", "order", "twice"],
)
def test_market_data_that_no_source_would_give_is_refused(frame: pl.DataFrame) -> None:
    """A strategy must not come to rely on it."""
    with pytest.raises(ValueError, match="The bars of MSFT"):
        MemoryMarketData({"MSFT": frame})


@pytest.mark.parametrize(
    ("broker", "state", "price", "reason"),
    [
        (FakeBroker(100), OrderState.FILLED, Decimal(100), None),
        (FakeBroker({"MSFT": 100.1}), OrderState.FILLED, Decimal("100.1"), None),
        (FakeBroker({"IBM": 100}), OrderState.PLACED, None, None),
        (FakeBroker(), OrderState.PLACED, None, None),
        (FakeBroker(100, rejects={"MSFT": "halted"}), OrderState.REJECTED, None, "halted"),
    ],
    ids=["one price", "by symbol", "other symbol", "no price", "rejected"],
)
def test_an_order_is_filled_placed_or_rejected(
    broker: FakeBroker, state: OrderState, price: Decimal | None, reason: str | None
) -> None:
    """No price is made up."""
    order = broker.at("task", Position("trade")).place(buy())
    assert (order.state, order.average_price, order.reason) == (state, price, reason)
    assert order.filled_quantity == (3 if state is OrderState.FILLED else 0)
    assert broker.orders == [order]


def test_a_client_order_id_is_readable_and_never_too_long() -> None:
    """Step, symbol and ordinal or key; a very long one is hashed."""
    broker = FakeBroker(1)
    placer = broker.at("task", Position("trade", "MSFT"))
    ids = [placer.place(buy()).client_order_id, placer.place(buy(), key="k").client_order_id]
    ids.append(placer.place(buy()).client_order_id)
    assert ids == ["task-trade-MSFT-1", "task-trade-MSFT-k", "task-trade-MSFT-2"]
    long = placer.place(buy(), key="x" * 200).client_order_id
    assert len(long) <= LONGEST_CLIENT_ORDER_ID
