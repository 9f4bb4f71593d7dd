"""Whether a value came back from JSON as it was, and where it holds numbers that JSON does not have."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import BaseModel

DEEPEST = 100
"""How far down the search goes, so that a list that holds itself ends it."""


def same(value: Any, back: Any) -> bool:
    """Tell whether `back` is what `value` was; dataclasses without equality are compared field by field."""
    if isinstance(value, float | int) and isinstance(back, float | int):
        return bool(value == back)
    if isinstance(value, Mapping) and isinstance(back, Mapping):
        return value.keys() == back.keys() and all(same(value[key], back[key]) for key in value)
    if isinstance(value, list | tuple) and isinstance(back, list | tuple):
        alike = isinstance(value, list) == isinstance(back, list)
        return alike and len(value) == len(back) and all(map(same, value, back))
    if bool(value == back):
        return True
    if type(value) is type(back) and dataclasses.is_dataclass(value):
        return all(same(a, b) for (_, a), (_, b) in zip(members(value), members(back), strict=True))
    return False


def non_finite(value: Any) -> tuple[str, Any] | None:
    """Return the path and the number of the first NaN or infinity inside `value`, None if there is none."""
    return next(_non_finite(value, "the value", 0), None)


def _non_finite(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, float(value)
    elif isinstance(value, Decimal) and not value.is_finite():
        yield path, value
    elif depth < DEEPEST:
        for name, member in members(value):
            yield from _non_finite(member, f"{path}{name}", depth + 1)


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a container or record holds, each with its place: `[3]`, `['MSFT']`, `.field`; nothing for others."""
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", member) for key, member in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", member) for index, member in enumerate(value))
    elif isinstance(value, BaseModel):
        yield from ((f".{name}", member) for name, member in value)
    elif isinstance(value, msgspec.Struct):
        yield from ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value))
