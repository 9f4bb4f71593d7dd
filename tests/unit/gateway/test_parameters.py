"""Parameters against a strategy's schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.parameters import LONGEST_MESSAGE, ParametersCheck


class Parameters(BaseModel):
    """As a quant would write them."""

    model_config = ConfigDict(extra="forbid")

    lookback: int = Field(20, ge=2, le=250)
    mode: str = Field(pattern="^(fast|slow)$")
    weights: dict[str, float] = Field(default_factory=dict)


def _errors(schema: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    return [error.field for error in ParametersCheck(schema).errors(parameters, "parameters")]


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"mode": "fast"}, []),
        ({"mode": "fast", "lookback": 250, "weights": {"AAPL": 0.5}}, []),
        ({}, ["parameters.mode"]),
        ({"mode": "slow", "lookback": 1}, ["parameters.lookback"]),
        ({"mode": "slow", "lookback": "20"}, ["parameters.lookback"]),
        ({"mode": "slow", "lookback": True}, ["parameters.lookback"]),
        ({"mode": "slow", "weights": {"AAPL": "half"}}, ["parameters.weights.AAPL"]),
        ({"mode": "slow", "b": 1, "a": 2}, ["parameters.a", "parameters.b"]),
    ],
)
def test_errors_name_the_parameter(parameters: dict[str, Any], fields: list[str]) -> None:
    """A schema that Pydantic has made is checked in full, without conversions."""
    assert _errors(Parameters.model_json_schema(), parameters) == fields


def test_every_missing_parameter_is_named() -> None:
    """One error for each."""
    assert _errors({"required": ["a", "b", "c"]}, {"b": 1}) == ["parameters.a", "parameters.c"]


def test_names_that_match_a_pattern_are_declared() -> None:
    """`additionalProperties` speaks of what neither `properties` nor `patternProperties` name."""
    schema = {"properties": {"a": {}}, "patternProperties": {"^x_": {}}, "additionalProperties": False}
    assert _errors(schema, {"a": 1, "x_1": 1, "y": 1}) == ["parameters.y"]


def test_formats_are_checked() -> None:
    """A date is a date."""
    schema = {"properties": {"as_of": {"type": "string", "format": "date"}}}
    assert _errors(schema, {"as_of": "2013-02-30"}) == ["parameters.as_of"]


def test_messages_stay_short() -> None:
    """A large value is not sent back in whole."""
    (error,) = ParametersCheck({"properties": {"a": {"type": "integer"}}}).errors({"a": "x" * 10_000}, "parameters")
    assert len(error.message) == LONGEST_MESSAGE


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"properties": 1}, {"minimum": "low"}])
def test_what_is_no_schema_is_refused_when_it_is_loaded(schema: dict[str, Any]) -> None:
    """Not when the first task comes."""
    with pytest.raises(ValueError, match="not valid"):
        ParametersCheck(schema)


def test_nothing_is_fetched_for_a_schema() -> None:
    """A reference to elsewhere makes the parameters uncheckable, which is said, and no request is made."""
    schema = {"$ref": "http://127.0.0.1:1/schema.json"}
    (error,) = ParametersCheck(schema).errors({}, "parameters")
    assert "cannot be checked" in error.message
