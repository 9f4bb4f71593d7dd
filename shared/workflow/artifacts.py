"""What `ctx.artifact` keeps: the bytes and the media type that fit the value and the extension of its name."""

import mimetypes
from io import BytesIO
from typing import Any

import msgspec

from shared.domain.outputs import ObjectRef, OutputKind
from shared.objects.store import ObjectStore
from shared.workflow import tables
from shared.workflow.codec import BYTES, JSON, OutputRefused, put
from shared.workflow.fidelity import non_finite
from shared.workflow.shapes import shape_of

CSV = "text/csv"
TEXT = "text/plain; charset=utf-8"


def keep(name: str, value: Any, *, store: ObjectStore) -> ObjectRef:
    """Store the artifact `name` and return its reference.

    Bytes are kept as they are, under the media type of the extension, and text as UTF-8. A polars or pandas DataFrame
    is Parquet, or CSV if the name ends in .csv; a figure is PNG, or SVG if the name ends in .svg; anything else is
    JSON, for people: other than an output it need not come back as the same type. Raises OutputRefused for what cannot
    be kept, and OutputNotStored when the store does not take it.
    """
    try:
        data, media_type = _content(name, value)
    # Figures and models run code of their own in here, which may raise anything.
    except Exception as error:
        raise OutputRefused(f"The artifact {name!r} of type {type(value).__name__} cannot be kept: {error}") from error
    return put(store, data, media_type)


def _content(name: str, value: Any) -> tuple[bytes, str]:
    if isinstance(value, str):
        return value.encode(), _media_type(name, TEXT)
    kind = tables.kind_of(value)
    match kind:
        case OutputKind.BYTES:
            return bytes(value), _media_type(name, BYTES)
        case OutputKind.FIGURE:
            vector = name.lower().endswith(".svg")
            return (tables.svg(value), tables.SVG) if vector else (tables.png(value), tables.PNG)
        case OutputKind.JSON:
            return _json(value), JSON
        case _:
            return _table(name, kind, value)


def _table(name: str, kind: OutputKind, value: Any) -> tuple[bytes, str]:
    frame = value.to_frame() if kind is OutputKind.POLARS_SERIES else value
    pandas = kind is OutputKind.PANDAS_FRAME
    if not name.lower().endswith(".csv"):
        return (tables.pandas_parquet(frame) if pandas else tables.polars_parquet(frame)), tables.PARQUET
    buffer = BytesIO()
    frame.to_csv(buffer) if pandas else frame.write_csv(buffer)
    return buffer.getvalue(), CSV


def _json(value: Any) -> bytes:
    place = non_finite(value)
    if place is not None:
        raise ValueError(f"{place[1]} at {place[0]}, and JSON has no such number")
    plain = msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else shape_of(Any).dump(value)
    return msgspec.json.encode(plain)


def _media_type(name: str, otherwise: str) -> str:
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else otherwise
