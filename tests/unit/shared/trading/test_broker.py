"""What an order may be, and when two are the same."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from shared.trading.broker import OrderRequest, Side, plain

ORDER = OrderRequest(client_order_id="order-1", symbol="MSFT", side=Side.BUY, quantity=Decimal(10))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"client_order_id": ""}, "client order id"),
        ({"client_order_id": "x" * 129}, "client order id"),
        ({"quantity": Decimal(0)}, "quantity"),
        ({"quantity": Decimal(-1)}, "quantity"),
        ({"quantity": Decimal("NaN")}, "quantity"),
        ({"limit_price": Decimal(0)}, "limit price"),
        ({"limit_price": Decimal("Infinity")}, "limit price"),
    ],
)
def test_an_order_that_makes_no_sense_cannot_be_made(wrong: dict[str, object], message: str) -> None:
    """It never gets as far as a venue."""
    with pytest.raises(ValueError, match=message):
        replace(ORDER, **wrong)  # type: ignore[arg-type]


def test_equal_amounts_have_equal_fingerprints_however_they_are_written() -> None:
    """10, 10.0 and 1E+1 are the same quantity."""
    written = {replace(ORDER, quantity=Decimal(text)).fingerprint for text in ("10", "10.0", "1E+1")}
    assert written == {ORDER.fingerprint}


def test_the_client_order_id_is_no_part_of_the_fingerprint() -> None:
    """The fingerprint tells whether two orders of one id are the same, so the id adds nothing."""
    assert replace(ORDER, client_order_id="order-2").fingerprint == ORDER.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "IBM"},
        {"side": Side.SELL},
        {"quantity": Decimal("10.1")},
        {"limit_price": Decimal(20)},
        {"as_of": date(2013, 3, 1)},
    ],
)
def test_any_other_difference_changes_the_fingerprint(change: dict[str, object]) -> None:
    """Each part of the order counts."""
    assert replace(ORDER, **change).fingerprint != ORDER.fingerprint  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "text"), [("100", "100"), ("1E+2", "100"), ("0.10", "0.1"), ("5.00", "5"), ("1E-7", "0.0000001")]
)
def test_a_decimal_is_written_out_without_exponent_or_trailing_zeros(amount: str, text: str) -> None:
    """Venues refuse `1E+2`."""
    assert plain(Decimal(amount)) == text
