"""A strategy's parameters: the pydantic model as JSON Schema, its defaults, and reading a run's values."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from shared.domain.errors import FieldError, InvalidInput


class NoParameters(BaseModel):
    """The parameters of a strategy that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `model`; unknown parameters are refused unless it allows extras.

    A misspelt parameter would otherwise fall back to its default and trade on it.
    """
    described = model.model_json_schema()
    if not _allows_extras(model):
        described["additionalProperties"] = False
    return described


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the default of each parameter that has a fixed one, as JSON values, under the name it is sent by.

    A `default_factory` is left out, as in the schema: it is called anew for each run.
    """
    properties = model.model_json_schema().get("properties", {})
    return {name: described["default"] for name, described in properties.items() if "default" in described}


def parse(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Return `values` as `model`; raises InvalidInput with one entry for each field that is wrong."""
    errors = [] if _allows_extras(model) else _unknown(model, values)
    try:
        # As JSON, which is how they come: a strict model takes "2024-01-31" for a date in JSON only.
        parsed = model.model_validate_json(to_json(dict(values)))
    except ValidationError as error:
        errors += [
            FieldError(".".join(("parameters", *map(str, mistake["loc"]))), mistake["msg"])
            for mistake in error.errors(include_url=False)
            if mistake["type"] != "extra_forbidden"
        ]
    if errors:
        named = "; ".join(f"{field}: {message}" for field, message in errors)
        raise InvalidInput(f"The parameters do not fit the strategy. {named}", errors)
    return parsed


def _allows_extras(model: type[BaseModel]) -> bool:
    return model.model_config.get("extra") == "allow"


@lru_cache(maxsize=1024)
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names under which parameters are sent; kept, as making the schema is slow."""
    return frozenset(model.model_json_schema().get("properties", {}))


def _unknown(model: type[BaseModel], values: Mapping[str, Any]) -> list[FieldError]:
    known = _names(model)
    choices = f"the strategy has {', '.join(sorted(known))}" if known else "the strategy has no parameters"
    message = f"there is no such parameter; {choices}"
    return [FieldError(f"parameters.{name}", message) for name in values if name not in known]
