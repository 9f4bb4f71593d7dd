"""What the paper broker charges."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class FeeSchedule:
    """A commission per share with a minimum per order, in US dollars.

    The defaults, half a cent a share and at least one dollar, are a convention of this project: the order of
    magnitude of per-share price lists, and no broker's own.
    """

    per_share: Decimal = Decimal("0.005")
    minimum: Decimal = Decimal("1.00")

    def charge(self, quantity: Decimal) -> Decimal:
        """Return the fee for one filled order of `quantity` shares, rounded half up to a cent."""
        return max(self.per_share * quantity, self.minimum).quantize(CENT, ROUND_HALF_UP)


FREE = FeeSchedule(per_share=Decimal(0), minimum=Decimal(0))
"""No fees at all."""
