"""What a step returned, as it stands in the log: in place when it is small, by reference when it is not."""

from enum import StrEnum
from typing import Any

import msgspec


class OutputKind(StrEnum):
    """Which way back leads from the stored form to the value that a step returned."""

    JSON = "json"
    BYTES = "bytes"
    POLARS_FRAME = "polars_frame"
    POLARS_SERIES = "polars_series"
    PANDAS_FRAME = "pandas_frame"
    FIGURE = "figure"


class ObjectRef(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object is kept: `size` in bytes, `sha256` in lower-case hex, checked on every read."""

    uri: str
    media_type: str
    size: int
    sha256: str


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One value: JSON in `inline` if `ref` is None, an object elsewhere if not."""

    kind: OutputKind = OutputKind.JSON
    inline: Any = None
    ref: ObjectRef | None = None
