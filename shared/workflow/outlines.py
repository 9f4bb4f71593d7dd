"""What a type looks like from outside, as JSON Schema: types of one outline read each other's stored values alike."""

from collections.abc import Iterator
from typing import Any

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_OURS = __name__.partition(".")[0]
"""The package of Decision and Order, which promise to read what their earlier forms have written."""

_WORDS = {"title", "description", "examples"}
_VALUES = {"default", "const", "enum"}
_MAPS = {"properties", "$defs", "patternProperties", "dependentSchemas"}
_PART = "#/$defs/"


class _Outlines(GenerateJsonSchema):
    """JSON Schema for every type: what JSON cannot say (a DataFrame) goes by its class, and so do this package's own.

    Were the fields of these a part of a definition, an upgrade of Blotter would change all definitions at once.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the outline of a pydantic model."""
        return _named(schema["cls"]) if _is_ours(schema["cls"]) else super().model_schema(schema)

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        """Return the name of a class that is only known by `isinstance`."""
        return _named(schema["cls"])

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Return the kind of what has no JSON Schema."""
        return {"kind": schema["type"]}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Say nothing: an outline may be inexact."""


def pydantic_outline(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the outline of a type that pydantic knows."""
    return adapter.json_schema(schema_generator=_Outlines)


def msgspec_outline(annotation: Any) -> dict[str, Any]:
    """Return the outline of a type with a msgspec struct in it; all that msgspec cannot describe look alike."""
    try:
        return msgspec.json.schema(annotation)
    except TypeError:
        return {"kind": "struct"}


def essence(schema: dict[str, Any]) -> list[Any]:
    """Return what a JSON Schema says of values, then the same of each of its `$defs`, in the order of first mention.

    Titles, descriptions and examples are left out, and `$defs` are known by number: their names are those of classes,
    and of the modules of classes that are called alike.
    """
    parts = schema.get("$defs", {})
    nodes = [_bare({key: value for key, value in schema.items() if key != "$defs"})]
    numbers: dict[str, int] = {}
    for node in nodes:
        for name in _mentioned(node):
            if name in parts and name not in numbers:
                numbers[name] = len(nodes)
                nodes.append(_bare(parts[name]))
    return [_numbered(node, numbers) for node in nodes]


def _bare(node: Any, *, names: bool = False) -> Any:
    """Return a part of a schema without its words.

    With `names`, the keys of `node` are names of fields, which may well be called "title".
    """
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = node.items() if names else ((key, value) for key, value in node.items() if key not in _WORDS)
    return {
        key: value if key in _VALUES and not names else _bare(value, names=key in _MAPS and not names)
        for key, value in kept
    }


def _mentioned(node: Any) -> Iterator[str]:
    """Yield the names of `$defs` in `node`, whatever the order of its keys."""
    if isinstance(node, dict):
        for _, value in sorted(node.items()):
            yield from _mentioned(value)
    elif isinstance(node, list):
        for item in node:
            yield from _mentioned(item)
    elif isinstance(node, str) and node.startswith(_PART):
        yield node.removeprefix(_PART)


def _numbered(node: Any, numbers: dict[str, int]) -> Any:
    if isinstance(node, dict):
        return {key: _numbered(value, numbers) for key, value in node.items()}
    if isinstance(node, list):
        return [_numbered(item, numbers) for item in node]
    if isinstance(node, str) and node.startswith(_PART):
        return f"{_PART}{numbers.get(node.removeprefix(_PART), node)}"
    return node


def _is_ours(kind: type[Any]) -> bool:
    return kind.__module__.partition(".")[0] == _OURS


def _named(kind: type[Any]) -> dict[str, Any]:
    # Without its module, whose name derives from the folder that a strategy happens to lie in.
    return {"class": kind.__name__}
