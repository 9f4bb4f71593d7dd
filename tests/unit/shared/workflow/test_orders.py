"""Decisions and orders as records."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.orders import OrderState
from shared.trading.broker import OrderReport, OrderRequest, Side
from shared.workflow.orders import Decision, Order

DECISION = Decision(
    symbol="BRK.B",
    action="sell",
    quantity="0.1000000000000000000001",
    reason="Too dear.",
    as_of=date(2013, 3, 1),
    limit_price="12.30",
)
REPORT = OrderReport(
    client_order_id="order-1",
    venue_order_id="venue-1",
    symbol="MSFT",
    side=Side.BUY,
    quantity=Decimal(10),
    limit_price=None,
    state=OrderState.FILLED,
    submitted_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    filled_quantity=Decimal(10),
    average_price=Decimal("24.684342"),
    fees=Decimal("1.00"),
    filled_at=datetime(2026, 1, 2, 14, 30, tzinfo=UTC),
)


@pytest.mark.parametrize("record", [DECISION, Order.of(REPORT)])
def test_a_record_survives_json_exactly(record: Decision | Order) -> None:
    """No digit and no microsecond is lost."""
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_decimals_are_strings_in_json() -> None:
    """A float on the way would round them."""
    written = DECISION.model_dump(mode="json")
    assert (written["quantity"], written["limit_price"]) == ("0.1000000000000000000001", "12.30")


def test_a_whole_number_is_a_quantity() -> None:
    """As in the examples of the documentation."""
    assert Decision(symbol="MSFT", action="buy", quantity=10, reason="Cheap.").quantity == Decimal(10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": "NaN"},
        {"action": "hold"},
        {"reason": ""},
        {"symbol": "msft"},
        {"symbol": ""},
        {"limit_price": 0},
        {"limit": 5},
    ],
)
def test_a_decision_that_makes_no_sense_cannot_be_made(wrong: dict[str, Any]) -> None:
    """The field is named in the error."""
    right: dict[str, Any] = {"symbol": "MSFT", "action": "buy", "quantity": 1, "reason": "Cheap."}
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Decision(**(right | wrong))


def test_a_decision_becomes_the_order_that_carries_it_out() -> None:
    """Every part of it is sent."""
    assert DECISION.request("order-9") == OrderRequest(
        client_order_id="order-9",
        symbol="BRK.B",
        side=Side.SELL,
        quantity=Decimal("0.1000000000000000000001"),
        limit_price=Decimal("12.30"),
        as_of=date(2013, 3, 1),
    )


def test_a_report_becomes_the_order_that_a_run_sees() -> None:
    """Nothing that the venue said is lost, but for the limit, which the decision has."""
    order = Order.of(REPORT)
    assert order.model_dump() == {name: getattr(REPORT, name) for name in Order.model_fields}
