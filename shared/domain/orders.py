"""How far an order has come, in the words that ledger, brokers and results share."""

from enum import StrEnum


class OrderState(StrEnum):
    """How far an order has come.

    `requested` is in our log, not yet answered; `placed` is accepted and may still be filled; `filled` will
    be filled no further, and `filled_quantity` says how far it was; `rejected` was refused, or ended
    unfilled; `ambiguous` was sent and nobody knows yet whether it arrived.
    """

    REQUESTED = "requested"
    PLACED = "placed"
    FILLED = "filled"
    REJECTED = "rejected"
    AMBIGUOUS = "ambiguous"
