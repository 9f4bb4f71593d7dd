"""What the paper broker charges."""

from decimal import Decimal

import pytest

from shared.trading.fees import FREE, FeeSchedule


@pytest.mark.parametrize(
    ("quantity", "fee"),
    [("1", "1.00"), ("200", "1.00"), ("201", "1.01"), ("300.4", "1.50"), ("10000", "50.00")],
)
def test_half_a_cent_a_share_and_at_least_a_dollar(quantity: str, fee: str) -> None:
    """201 shares are 1.005 dollars, which is rounded up to 1.01."""
    assert FeeSchedule().charge(Decimal(quantity)) == Decimal(fee)


def test_there_may_be_no_fees() -> None:
    """As at a broker that lives off something else."""
    assert FREE.charge(Decimal(1_000_000)) == 0
