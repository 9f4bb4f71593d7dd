"""From what a step returned to what the log keeps, and back.

JSON up to 64 KiB stands in the log itself; everything else goes to the object store, and a reference takes its place:
larger JSON, bytes, polars DataFrames and Series and pandas DataFrames (as Parquet), figures (as PNG).

What a step returned and what the next one gets are equal, or the step fails: JSON is read back and compared before it
is stored. Two things are therefore refused that JSON libraries quietly change: NaN and infinity, which JSON does not
have (RFC 8259, section 6), and values whose type the step's return annotation does not tell.
"""

from typing import Any, assert_never

import msgspec

from shared.domain.outputs import ObjectRef, Output, OutputKind
from shared.objects.store import ObjectStore
from shared.workflow import tables
from shared.workflow.errors import PermanentError, TemporaryError
from shared.workflow.fidelity import non_finite, same
from shared.workflow.shapes import name_of, shape_of
from shared.workflow.steps import Step

MAX_INLINE_BYTES = 64 * 1024
"""The longest JSON text that stands in the log."""

JSON = "application/json"
BYTES = "application/octet-stream"

ALLOWED = (
    "A step may return JSON's types, pydantic models, dataclasses and msgspec structs (with the return type written on "
    "the step), bytes, a polars DataFrame or Series, a pandas DataFrame, or a figure."
)


class OutputRefused(PermanentError):
    """A value that would not come back as it is; the message names the step, the value's place and what is allowed."""


class OutputNotStored(TemporaryError):
    """The object store did not take a value: its disk is full, or it does not answer."""


def encode_output(step: Step, value: Any, *, store: ObjectStore) -> Output:
    """Return the stored form of what `step` returned; raises OutputRefused or OutputNotStored."""
    return encode(value, step.return_type, store=store, subject=f"Step {step.name!r}")


def decode_output(step: Step, output: Output, *, store: ObjectStore) -> Any:
    """Return what `step` returned, a new object each time; raises what the store's `get` raises."""
    return decode(output, step.return_type, store=store)


def encode(value: Any, annotation: Any, *, store: ObjectStore, subject: str = "The step") -> Output:
    """Return the stored form of `value`, which `subject` returned under the return type `annotation`.

    Raises OutputRefused for what cannot be stored faithfully, OutputNotStored when the store fails.
    """
    kind = tables.kind_of(value)
    if kind is OutputKind.JSON:
        return _encode_json(value, annotation, store, subject)
    try:
        data, media_type = _data_of(kind, value)
    except Exception as error:
        raise OutputRefused(
            f"{subject} returned a {type(value).__name__} that cannot be stored: {error}. {ALLOWED}"
        ) from error
    return Output(kind=kind, ref=put(store, data, media_type))


def decode(output: Output, annotation: Any, *, store: ObjectStore) -> Any:
    """Return the value behind `output`, a new object each time; `annotation` is what it was encoded with.

    A figure comes back as its PNG in bytes. Raises ObjectMissing or ObjectCorrupt from the store.
    """
    if output.kind is OutputKind.JSON:
        text = msgspec.json.encode(output.inline) if output.ref is None else store.get(output.ref)
        return shape_of(annotation).load(text)
    return _value_of(output.kind, store.get(_reference(output)))


def _encode_json(value: Any, annotation: Any, store: ObjectStore, subject: str) -> Output:
    text = _json(value, annotation, subject)
    # PostgreSQL's jsonb cannot hold the character NUL, which JSON can.
    if len(text) <= MAX_INLINE_BYTES and b"\\u0000" not in text:
        return Output(inline=msgspec.json.decode(text))
    return Output(ref=put(store, text, JSON))


def put(store: ObjectStore, data: bytes, media_type: str) -> ObjectRef:
    """Store `data`. Raises OutputNotStored, which is tried again, when the store does not take it."""
    try:
        return store.put(data, media_type)
    except Exception as error:
        raise OutputNotStored(
            f"The object store did not take {len(data)} bytes: {error!r}. Check its disk and its permissions."
        ) from error


def _json(value: Any, annotation: Any, subject: str) -> bytes:
    """Return `value` as JSON text from which an equal value can be read."""
    shape = shape_of(annotation)
    try:
        text = msgspec.json.encode(shape.dump(value))
        back = shape.load(text)
        faithful = same(value, back)
    # Serializers and comparisons of users' own types run in here and may raise anything.
    except Exception as error:
        raise OutputRefused(_complaint(value, annotation, subject, str(error))) from error
    if not faithful:
        raise OutputRefused(_complaint(value, annotation, subject, f"it would come back as {_short(back)}"))
    return text


def _complaint(value: Any, annotation: Any, subject: str, reason: str) -> str:
    place = non_finite(value)
    if place is not None:
        path, number = place
        return (
            f"{subject} returned {number} at {path}, and JSON has no such number. "
            "Return None there, leave the entry out, or return a DataFrame, which keeps it."
        )
    declared = "no return type" if annotation is Any else f"the return type {name_of(annotation)}"
    return f"{subject} has {declared} and returned {_short(value)}, which JSON cannot carry: {reason}. {ALLOWED}"


def _data_of(kind: OutputKind, value: Any) -> tuple[bytes, str]:
    match kind:
        case OutputKind.BYTES:
            return bytes(value), BYTES
        case OutputKind.POLARS_FRAME:
            return tables.polars_parquet(value), tables.PARQUET
        case OutputKind.POLARS_SERIES:
            return tables.polars_parquet(value.to_frame()), tables.PARQUET
        case OutputKind.PANDAS_FRAME:
            return tables.pandas_parquet(value), tables.PARQUET
        case OutputKind.FIGURE:
            return tables.png(value), tables.PNG
        case OutputKind.JSON:
            raise AssertionError("JSON has a way of its own")
        case _:
            assert_never(kind)


def _value_of(kind: OutputKind, data: bytes) -> Any:
    match kind:
        case OutputKind.BYTES | OutputKind.FIGURE:
            return data
        case OutputKind.POLARS_FRAME:
            return tables.read_polars(data)
        case OutputKind.POLARS_SERIES:
            return tables.read_polars(data).to_series(0)
        case OutputKind.PANDAS_FRAME:
            return tables.read_pandas(data)
        case OutputKind.JSON:
            raise AssertionError("JSON has a way of its own")
        case _:
            assert_never(kind)


def _reference(output: Output) -> ObjectRef:
    if output.ref is None:
        raise ValueError(f"An output of kind {output.kind} needs a reference; this one was not made by encode().")
    return output.ref


def _short(value: Any, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
