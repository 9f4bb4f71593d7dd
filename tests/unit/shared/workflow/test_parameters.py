"""A run's parameters against its strategy's model."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from shared.domain.errors import InvalidInput
from shared.workflow.parameters import NoParameters, defaults, parse, schema


class Windows(BaseModel):
    """A model of the usual kind."""

    fast: int = Field(20, ge=2)
    slow: int = Field(50, ge=3)
    since: date | None = None


class Open(BaseModel):
    """A model that takes whatever comes."""

    model_config = ConfigDict(extra="allow")

    fast: int = 20


class Strict(BaseModel):
    """A model that converts nothing."""

    model_config = ConfigDict(strict=True, extra="forbid")

    since: date
    size: Decimal = Decimal("1.50")
    sectors: tuple[str, ...] = ()


class Aliased(BaseModel):
    """A model whose field is sent under another name."""

    fast_window: int = Field(20, alias="fastWindow")
    made: list[int] = Field(default_factory=list)


def test_values_come_as_the_model() -> None:
    """Dates are text in JSON and dates in the strategy."""
    parsed = parse(Windows, {"fast": 5, "since": "2024-01-31"})
    assert parsed == Windows(fast=5, slow=50, since=date(2024, 1, 31))


def test_a_strict_model_takes_what_json_can_say() -> None:
    """Strictness is about 1 and "1", not about dates, for which JSON has no other form."""
    parsed = parse(Strict, {"since": "2024-01-31", "size": "2.5", "sectors": ["tech"]})
    assert parsed == Strict(since=date(2024, 1, 31), size=Decimal("2.5"), sectors=("tech",))


@pytest.mark.parametrize("model", [Windows, Strict, Aliased])
def test_a_misspelt_parameter_is_refused(model: type[BaseModel]) -> None:
    """It would fall back to its default, and trade on it."""
    with pytest.raises(InvalidInput) as refusal:
        parse(model, {"fsat": 5, "since": "2024-01-31"} if model is not Aliased else {"fsat": 5})
    assert [error.field for error in refusal.value.errors] == ["parameters.fsat"]
    assert "there is no such parameter" in refusal.value.detail


def test_every_wrong_field_is_named() -> None:
    """One round trip is enough to mend them all."""
    with pytest.raises(InvalidInput) as refusal:
        parse(Windows, {"fast": 1, "slow": "many", "until": 3})
    assert {error.field for error in refusal.value.errors} == {
        "parameters.fast",
        "parameters.slow",
        "parameters.until",
    }


def test_a_strategy_without_parameters_takes_none() -> None:
    """And says so."""
    assert parse(NoParameters, {}) == NoParameters()
    with pytest.raises(InvalidInput, match="the strategy has no parameters"):
        parse(NoParameters, {"fast": 1})


def test_a_model_may_ask_for_extras() -> None:
    """With `extra="allow"` it knows what it does."""
    parsed: Any = parse(Open, {"anything": 1})
    assert parsed.anything == 1
    assert schema(Open)["additionalProperties"] is True


def test_a_field_is_sent_under_its_alias() -> None:
    """The schema names the alias, so the field's own name is unknown."""
    parsed: Any = parse(Aliased, {"fastWindow": 7})
    assert parsed.fast_window == 7
    with pytest.raises(InvalidInput, match=r"parameters\.fast_window"):
        parse(Aliased, {"fast_window": 7})


def test_defaults_are_shown_in_json_under_the_name_they_are_sent_by() -> None:
    """What is made anew for each run is not shown."""
    assert defaults(Windows) == {"fast": 20, "slow": 50, "since": None}
    assert defaults(Strict)["size"] == "1.50"
    assert defaults(Aliased) == {"fastWindow": 20}
