"""What came of a run in a test."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.domain.failures import Failure
from shared.domain.phases import CeleryState
from shared.workflow.context import Position, Progress
from shared.workflow.orders import Decision, Order


@dataclass(frozen=True, kw_only=True)
class StepFailure:
    """An error and where it happened; `symbol` is None for a step that runs once, or for the whole of one."""

    step: str
    symbol: str | None
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class Retry:
    """One retry: number `number` (from 1) of this step and symbol, and how long the executor would have waited."""

    step: str
    symbol: str | None
    number: int
    delay: timedelta
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run that has ended; every value in it has been to the log's form and back, as in the executor.

    `state` is `SUCCESS` or `FAILURE`, and then `error` says why. `outputs` are by step, and by symbol inside for steps
    that run for each; those that finished before a failure are there. `errors` are what `on_error="collect"` collected.
    """

    state: CeleryState
    outputs: dict[str, Any]
    decisions: list[Decision]
    orders: list[Order]
    errors: list[StepFailure]
    error: StepFailure | None
    retries: list[Retry]
    artifacts: dict[str, bytes]
    progress: list[tuple[Position, Progress]]
    logs: list[dict[str, Any]]
