"""What a run remembers of each step and of each order."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.execution_events import OrderOutcome, RequestedOrder
from shared.domain.failures import Failure
from shared.domain.orders import OrderState
from shared.domain.outputs import Output


class StepState(StrEnum):
    """Where one step stands, for one symbol where it runs for each."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step and symbol; `attempts` counts how often its function was called to an end, `retries` the delays."""

    step: str
    symbol: str | None
    state: StepState
    attempts: int = 0
    retries: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    output: Output | None = None
    failure: Failure | None = None

    @property
    def settled(self) -> bool:
        """Tell whether the step is over: completed, or failed for good."""
        return self.state in (StepState.COMPLETED, StepState.FAILED)


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One order on its way through the log."""

    client_order_id: str
    step: str
    symbol: str | None
    order: RequestedOrder
    state: OrderState
    requested_at: datetime
    outcome: OrderOutcome | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the venue's word on the order is not in the log yet."""
        return self.state in (OrderState.REQUESTED, OrderState.AMBIGUOUS)


StepKey = tuple[str, str | None]
"""A step and its symbol; the symbol is None for a step that runs once a run."""
