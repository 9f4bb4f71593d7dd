"""Reading Alpaca's orders and positions, and writing ours, without HTTP."""

from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from shared.domain.orders import OrderState
from shared.trading.alpaca import body_of, is_duplicate, report_of, shares_of
from shared.trading.broker import OrderRequest, Side


def an_alpaca_order(status: str, filled: str = "0") -> dict[str, object]:
    """An order as Alpaca writes it, cut down to what is read."""
    return {
        "id": "904837e3",
        "client_order_id": "order-1",
        "symbol": "AAPL",
        "side": "buy",
        "qty": "15",
        "filled_qty": filled,
        "filled_avg_price": "31.25" if filled != "0" else None,
        "limit_price": "107.00",
        "status": status,
        "submitted_at": "2026-03-16T18:38:01.942282123Z",
        "filled_at": "2026-03-16T14:38:02-04:00" if status == "filled" else None,
    }


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("accepted", "0", OrderState.PLACED),
        ("pending_new", "0", OrderState.PLACED),
        ("done_for_day", "0", OrderState.PLACED),
        ("partially_filled", "3", OrderState.PLACED),
        ("filled", "15", OrderState.FILLED),
        ("canceled", "3", OrderState.FILLED),
        ("canceled", "0", OrderState.REJECTED),
        ("expired", "0", OrderState.REJECTED),
        ("rejected", "0", OrderState.REJECTED),
    ],
)
def test_each_status_has_its_place_among_our_states(status: str, filled: str, state: OrderState) -> None:
    """What was cancelled after a part is filled no further, and `filled_quantity` says how far it was."""
    report = report_of(an_alpaca_order(status, filled))
    assert (report.state, report.filled_quantity) == (state, Decimal(filled))
    assert (report.reason is None) == (status not in {"canceled", "expired", "rejected"})


def test_amounts_are_decimals_and_times_are_utc() -> None:
    """Nanoseconds are cut to microseconds."""
    report = report_of(an_alpaca_order("filled", "15"))
    assert (report.limit_price, report.average_price) == (Decimal("107.00"), Decimal("31.25"))
    assert report.submitted_at == datetime(2026, 3, 16, 18, 38, 1, 942282, UTC)
    assert report.filled_at == datetime(2026, 3, 16, 18, 38, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, {"type": "market"}), (Decimal("1.50E+2"), {"type": "limit", "limit_price": "150"})],
)
def test_amounts_are_sent_as_plain_strings(limit: Decimal | None, expected: dict[str, str]) -> None:
    """A market order bears no limit, a limit order does; both are good for the day."""
    request = OrderRequest(
        client_order_id="order-1", symbol="AAPL", side=Side.SELL, quantity=Decimal("1E+2"), limit_price=limit
    )
    assert body_of(request) == {
        "symbol": "AAPL",
        "qty": "100",
        "side": "sell",
        "time_in_force": "day",
        "client_order_id": "order-1",
        **expected,
    }


@pytest.mark.parametrize(("quantity", "side", "shares"), [("5", "long", 5), ("-5", "short", -5), ("5", "short", -5)])
def test_a_short_position_is_negative_however_it_is_written(quantity: str, side: str, shares: int) -> None:
    """The side decides."""
    assert shares_of({"qty": quantity, "side": side}) == shares


@pytest.mark.parametrize(
    ("status", "message", "duplicate"),
    [
        (422, "client_order_id must be unique", True),
        (422, "client order id must be unique", True),
        (422, "qty must be > 0", False),
        (403, "client_order_id must be unique", False),
    ],
)
def test_a_duplicate_is_known_by_status_and_words(status: int, message: str, duplicate: bool) -> None:
    """Code 40010001 alone would not do: it covers other mistakes too."""
    assert is_duplicate(httpx.Response(status, json={"code": 40010001, "message": message})) is duplicate
