"""The bodies that clients send: strict types, bounded sizes, and nothing that is not declared."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from shared.domain.priority import Priority
from shared.result_backend import LONGEST_TTL

LONGEST_TIMEOUT_SECONDS = 7 * 24 * 3600
MOST_SYMBOLS = 500
MOST_LABELS = 20
MOST_TASKS = 1000
LABEL_KEY = r"^[a-z0-9_.-]{1,40}$"
LABEL_VALUE = r"^[^\x00-\x1f\x7f]{0,100}$"
STRATEGY_ID = r"^[A-Za-z0-9._-]{1,100}$"

EXAMPLE: dict[str, Any] = {
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "priority": "high",
    "parameters": {"fast": 20, "slow": 50},
    "max_retries": 3,
    "timeout_seconds": 3600,
    "labels": {"desk": "eu"},
}


def _unique(symbols: Sequence[str]) -> Sequence[str]:
    twice = sorted(symbol for symbol, count in Counter(symbols).items() if count > 1)
    if twice:
        raise ValueError(f"names {', '.join(twice[:5])} more than once; name each symbol once")
    return symbols


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""For an integer as JSON Schema means it: 3.0 is one, "3" and true are not."""

Retries = Annotated[int, Field(ge=0, le=20), WHOLE]

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9.\-/]{1,20}$")]
"""A traded symbol, such as `BRK.B` or `BTC/USD`."""

Symbols = Annotated[
    list[Symbol],
    Field(min_length=1, max_length=MOST_SYMBOLS, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_unique),
]

_LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY)]
_LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE)]
Labels = Annotated[
    dict[_LabelKey, _LabelValue],
    Field(max_length=MOST_LABELS),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_LABELS,
            "propertyNames": {"pattern": LABEL_KEY},
            "additionalProperties": {"type": "string", "pattern": LABEL_VALUE},
        }
    ),
]


class Body(BaseModel):
    """No conversions, no unknown fields, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TaskRequest(Body):
    """One run of a strategy. What is left out, or null, is the strategy's own choice, and priority `normal`."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    strategy_id: Annotated[str, StringConstraints(pattern=STRATEGY_ID)] = Field(
        description="one of GET /api/strategies"
    )
    symbols: Symbols = Field(description="what the run is about, each once")
    priority: Annotated[Priority, Field(strict=False)] = Field(Priority.NORMAL, description="the level it waits at")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="checked against the strategy's parameters_schema; recorded as given"
    )
    max_retries: Retries | None = Field(None, description="retries of each step and symbol")
    timeout_seconds: float | None = Field(None, gt=0, le=LONGEST_TIMEOUT_SECONDS, description="time to run in all")
    result_ttl_seconds: float | None = Field(
        None, gt=0, le=LONGEST_TTL.total_seconds(), description="how long to keep it"
    )
    labels: Labels = Field(default_factory=dict, description="yours, for finding it again")


class RerunRequest(Body):
    """What a new run does otherwise than the one it repeats; what is left out, or null, stays as it was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from_step": "decide", "priority": "high"}]})

    from_step: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="the step to begin with; the outputs of the steps before it are taken over"
    )
    parameters: dict[str, Any] | None = Field(None, description="checked like those of a submission")
    priority: Annotated[Priority, Field(strict=False)] | None = None


class BatchRequest(Body):
    """Several tasks, all or none of which are recorded."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"tasks": [EXAMPLE, {"strategy_id": "sma-crossover", "symbols": ["IBM"]}]}],
        }
    )

    tasks: list[TaskRequest] = Field(min_length=1, max_length=MOST_TASKS)
