"""The body that says which tasks to cancel: the conditions of a list, and nothing that is said by accident."""

from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from services.gateway.bodies import MOST_LABELS, Body
from services.gateway.conditions import LABEL, Reason, TaskConditions

_LABEL_SCHEMA = {"type": "string", "pattern": LABEL}
_Labels = Annotated[
    list[Annotated[str, StringConstraints(pattern=LABEL)]],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1, max_length=MOST_LABELS),
    WithJsonSchema(
        {"anyOf": [_LABEL_SCHEMA, {"type": "array", "items": _LABEL_SCHEMA, "minItems": 1, "maxItems": MOST_LABELS}]}
    ),
]


def _without_null(schema: dict[str, Any]) -> None:
    """Say in a schema that fields which may be left out may not be null."""
    for name, field in schema["properties"].items():
        choices = [choice for choice in field.pop("anyOf", []) if choice != {"type": "null"}]
        match choices:
            case [only]:
                schema["properties"][name] = {**field, **only}
            case [_, *_]:
                field["anyOf"] = choices
        schema["properties"][name].pop("default", None)


class Selection(TaskConditions):
    """Which tasks: the conditions of `GET /api/tasks`. One that is null is refused: it would not narrow."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    label: _Labels = Field(default_factory=list, description="key:value, or a list of them, all of which must match")

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("is null, which narrows nothing: leave it out")
        return value

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing narrows it: then it means every task."""
        return not self.model_fields_set


def _empty_only_with_all(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [
        {"properties": {"filter": {"minProperties": 1}, "all": {"const": False}}},
        {"properties": {"filter": {"maxProperties": 0}, "all": {"const": True}}, "required": ["all"]},
    ]
    schema["examples"] = [{"filter": {"strategy_id": "sma-crossover", "status": "queued"}, "reason": "wrong prices"}]


class CancelRequest(Body):
    """Which tasks to cancel, and why. To cancel every task, the filter is empty and `all` true."""

    model_config = ConfigDict(json_schema_extra=_empty_only_with_all)

    all: bool = Field(False, description="every task is meant, and not a filter forgotten")
    filter: Selection = Field(description="all conditions must hold")
    reason: Reason | None = Field(None, description="kept with each task, up to 500 characters")

    @field_validator("filter")
    @classmethod
    def _check_empty(cls, given: Selection, info: ValidationInfo) -> Selection:
        everything = info.data.get("all", False)
        if given.is_empty and not everything:
            raise ValueError('is empty: name what to cancel, or add "all": true to cancel every task')
        if everything and not given.is_empty:
            raise ValueError("narrows what all does not: send one of the two")
        return given
