"""A type annotation at work: it checks a value, and leads to JSON and back."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol, get_args

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from shared.workflow.outlines import msgspec_outline, pydantic_outline

SHOWN_ERRORS = 3
"""How many mistakes of one value a message names."""


class ShapeError(TypeError):
    """An annotation that values can be neither checked nor stored by."""


class Shape(Protocol):
    """What pydantic and msgspec both do for a type."""

    def check(self, value: Any) -> Any:
        """Return `value` as the type wants it; raises ValueError with a short sentence."""
        ...

    def dump(self, value: Any) -> Any:
        """Return `value` as JSON's own types; what JSON cannot say may come out wrong, so compare."""
        ...

    def load(self, text: bytes) -> Any:
        """Return the value that the JSON `text` stands for; raises ValueError."""
        ...

    def outline(self) -> dict[str, Any]:
        """Return what `load` accepts, as JSON Schema."""
        ...


class PydanticShape:
    """JSON values, pydantic models, dataclasses, and by `isinstance` whatever pydantic does not know."""

    def __init__(self, annotation: Any) -> None:
        self._adapter = _adapter(annotation)

    def check(self, value: Any) -> Any:
        """Return `value`, converted where pydantic's lax mode does (numpy's numbers become Python's)."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(_sentence(error)) from None

    def dump(self, value: Any) -> Any:
        """Return JSON's own types."""
        return self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)

    def load(self, text: bytes) -> Any:
        """Return the value behind `text`."""
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise ValueError(_sentence(error)) from None

    def outline(self) -> dict[str, Any]:
        """Return what pydantic reads."""
        return pydantic_outline(self._adapter)


class MsgspecShape:
    """Annotations with a msgspec struct in them, which pydantic does not know."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._decoder = msgspec.json.Decoder(annotation)

    def check(self, value: Any) -> Any:
        """Return `value` if it has the annotation's type; structs are compared by class."""
        return msgspec.convert(value, self._annotation, from_attributes=False)

    def dump(self, value: Any) -> Any:
        """Return JSON's own types."""
        return msgspec.to_builtins(value)

    def load(self, text: bytes) -> Any:
        """Return the value behind `text`."""
        return self._decoder.decode(text)

    def outline(self) -> dict[str, Any]:
        """Return what msgspec reads."""
        return msgspec_outline(self._annotation)


def shape_of(annotation: Any) -> Shape:
    """Return the shape of `annotation`; raises ShapeError for a type that cannot be checked."""
    try:
        return _cached(annotation)
    except TypeError as error:
        if isinstance(error, ShapeError):
            raise
        return _shape(annotation)


def parts(annotation: Any) -> Iterator[Any]:
    """Yield `annotation` and everything named inside its brackets, at any depth."""
    yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def _shape(annotation: Any) -> Shape:
    try:
        if any(isinstance(part, type) and issubclass(part, msgspec.Struct) for part in parts(annotation)):
            return MsgspecShape(annotation)
        return PydanticShape(annotation)
    except (PydanticUserError, TypeError, NameError) as error:
        reason = str(error).partition("\n")[0]
        raise ShapeError(f"{name_of(annotation)} cannot be checked or stored ({reason})") from error


_cached = lru_cache(maxsize=1024)(_shape)


def name_of(annotation: Any) -> str:
    """Return how an annotation reads in source: `float`, `list[Decision]`."""
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError as unknown:
        try:
            # DataFrames and the like are unknown to pydantic; with this it asks `isinstance`.
            return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:
            # Models and dataclasses bear their own configuration: the first complaint is the one that counts.
            raise unknown from None


def _sentence(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False, include_context=False)
    shown = [": ".join(filter(None, (_path(m["loc"]), m["msg"]))) for m in mistakes[:SHOWN_ERRORS]]
    more = len(mistakes) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)
