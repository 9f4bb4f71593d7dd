"""The strategies that the executor has loaded, described without their code.

Strategy code lives in executor processes only. What everyone else knows of a strategy is its description,
published in the log: the gateway checks parameters against its JSON Schema, and pins its definition to a run.
"""

from enum import StrEnum
from typing import Any

import msgspec


class StepScope(StrEnum):
    """How often a step runs: once a run, or once for each symbol."""

    RUN = "run"
    SYMBOL = "symbol"


class OnError(StrEnum):
    """What a step that has failed for good does to its run."""

    FAIL = "fail"
    COLLECT = "collect"


class StepEffect(StrEnum):
    """What a step does to the world outside."""

    NONE = "none"
    ORDERS = "orders"


class StepKind(StrEnum):
    """Whether a step runs in its run's own task, or as tasks of its own, side by side."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


class StepDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One declared step; `inputs` are the earlier steps whose outputs it takes, by name.

    A parallel step runs as tasks of its own: one for each symbol, or one beside the other steps of its `group`. At most
    `max_parallel` of them are at work at once in one run (None for the dispatcher's default), and for each key of
    `limits` at most so many over all runs.
    """

    name: str
    each: StepScope = StepScope.RUN
    kind: StepKind = StepKind.SEQUENTIAL
    group: str | None = None
    max_parallel: int | None = None
    limits: dict[str, int] = {}
    inputs: tuple[str, ...] = ()
    on_error: OnError = OnError.FAIL
    effect: StepEffect = StepEffect.NONE
    preemptible: bool = True
    max_retries: int | None = None
    retry_delay_seconds: float | None = None
    timeout_seconds: float | None = None


class StrategyDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy; `definition_hash` is the SHA-256 (hex) of what must not change under a running run.

    For each key of `limits` at most so many tasks are at work at once, over all runs.
    """

    strategy_id: str
    title: str
    description: str
    steps: tuple[StepDescription, ...]
    parameters_schema: dict[str, Any]
    parameters_default: dict[str, Any]
    definition_hash: str
    max_retries: int = 3
    timeout_seconds: float = 3600.0
    retry_delay_seconds: float = 1.0
    retry_jitter: float = 0.0
    limits: dict[str, int] = {}


class RetiredDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """An old definition that takes no new runs, and by which the unfinished ones that are pinned to it go on."""

    strategy_id: str
    definition_hash: str


class BrokenStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy file or module that could not be loaded, and why."""

    file: str
    error: str
