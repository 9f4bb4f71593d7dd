"""What a run is submitted as: what was asked for, and the strategy's plan and choices as they are at that moment."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from shared.domain.catalogue import StrategyDescription
from shared.domain.priority import Priority

Number = TypeVar("Number", int, float)


class Wish(Protocol):
    """What somebody asks of a run, at once or by a schedule; None leaves it to the strategy."""

    @property
    def symbols(self) -> Sequence[str]:
        """What the run is about."""

    @property
    def priority(self) -> Priority:
        """The level it waits at."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Recorded as given."""

    @property
    def labels(self) -> dict[str, str]:
        """The user's own."""

    @property
    def max_retries(self) -> int | None:
        """Retries of each step and symbol."""

    @property
    def timeout_seconds(self) -> float | None:
        """The time to run in all."""

    @property
    def result_ttl_seconds(self) -> float | None:
        """How long the result is kept."""


def plan(wish: Wish, strategy: StrategyDescription, *, result_ttl_seconds: float) -> Mapping[str, Any]:
    """Return the fields of `Submitted` that come from the wish, or from the strategy as it is now."""
    return {
        "strategy_id": strategy.strategy_id,
        "symbols": tuple(wish.symbols),
        "priority": wish.priority,
        "parameters": wish.parameters,
        "labels": wish.labels,
        "max_retries": _given(wish.max_retries, strategy.max_retries),
        "timeout_seconds": _given(wish.timeout_seconds, strategy.timeout_seconds),
        "result_ttl_seconds": _given(wish.result_ttl_seconds, result_ttl_seconds),
        "retry_delay_seconds": strategy.retry_delay_seconds,
        "retry_jitter": strategy.retry_jitter,
        "limits": strategy.limits,
        "steps": strategy.steps,
        "definition_hash": strategy.definition_hash,
    }


def _given(value: Number | None, otherwise: Number) -> Number:
    return otherwise if value is None else value
