"""Parameters against a strategy's own JSON Schema (draft 2020-12)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError, ValidationError  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from shared.domain.errors import FieldError

LONGEST_MESSAGE = 300
"""Characters; the library's messages repeat the value, whatever its size."""


class ParametersCheck:
    """One compiled schema. References to other documents are not followed: nothing is fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile `schema`; raises ValueError when it is no JSON Schema."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"The schema of its parameters is not valid: {error.message}") from error
        registry: Registry[Any] = Registry()
        self._validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())

    def errors(self, parameters: Mapping[str, Any], field: str) -> Iterator[FieldError]:
        """Yield what is wrong with `parameters`, each under its dotted path below `field`."""
        try:
            for error in self._validator.iter_errors(parameters):
                path = ".".join([field, *(str(part) for part in error.absolute_path)])
                yield from _field_errors(error, path)
        except Unresolvable as error:
            yield FieldError(field, f"cannot be checked: the strategy's schema refers to {error.ref}, which it lacks")


def _field_errors(error: ValidationError, path: str) -> Iterator[FieldError]:
    match error.validator:
        case "required":
            missing = next((name for name in error.validator_value if error.message.startswith(repr(name))), None)
            yield FieldError(f"{path}.{missing}" if missing else path, "is required by the strategy")
        case "additionalProperties" if error.validator_value is False:
            for name in sorted(_undeclared(error)):
                yield FieldError(f"{path}.{name}", "is no parameter of the strategy: remove it, or correct its name")
        case _:
            yield FieldError(path, error.message[:LONGEST_MESSAGE])


def _undeclared(error: ValidationError) -> set[str]:
    patterns = error.schema.get("patternProperties", {})
    names = set(error.instance) - set(error.schema.get("properties", {}))
    return {name for name in names if not any(re.search(pattern, name) for pattern in patterns)}
