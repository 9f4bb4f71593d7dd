"""At which price an order is filled on a bar."""

from datetime import date
from decimal import Decimal

import pytest

from shared.trading.broker import OrderRequest, Side
from shared.trading.fills import fill_price
from shared.trading.quotes import Bar

BAR = Bar(day=date(2013, 3, 1), open=Decimal(20), high=Decimal(22), low=Decimal(19))


def price(side: Side, limit: str | None) -> Decimal | None:
    """What an order with this limit gets on `BAR`."""
    request = OrderRequest(
        client_order_id="order-1",
        symbol="MSFT",
        side=side,
        quantity=Decimal(1),
        limit_price=Decimal(limit) if limit else None,
    )
    return fill_price(request, BAR)


@pytest.mark.parametrize("side", Side)
def test_at_market_it_is_the_open(side: Side) -> None:
    """Without slippage."""
    assert price(side, None) == 20


@pytest.mark.parametrize(
    ("limit", "paid"), [("25", "20"), ("20", "20"), ("19.5", "19.5"), ("19", "19"), ("18.99", None)]
)
def test_a_limited_buy_pays_its_limit_or_less(limit: str, paid: str | None) -> None:
    """The open where that is cheaper, the limit where the day came down to it, else nothing."""
    assert price(Side.BUY, limit) == (Decimal(paid) if paid else None)


@pytest.mark.parametrize(("limit", "got"), [("15", "20"), ("20", "20"), ("21", "21"), ("22", "22"), ("22.01", None)])
def test_a_limited_sale_gets_its_limit_or_more(limit: str, got: str | None) -> None:
    """The mirror image."""
    assert price(Side.SELL, limit) == (Decimal(got) if got else None)
