"""Values that are not JSON: which kind each is, and its bytes. No library is imported before a value of it exists."""

import sys
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from shared.domain.outputs import OutputKind

if TYPE_CHECKING:
    import polars as pl

PARQUET = "application/vnd.apache.parquet"
PNG = "image/png"
SVG = "image/svg+xml"


def kind_of(value: Any) -> OutputKind:
    """Return how `value` is stored; everything that is no table, figure or bytes is JSON or nothing."""
    if isinstance(value, bytes | bytearray | memoryview):
        return OutputKind.BYTES
    if _is_instance(value, "polars", "DataFrame"):
        return OutputKind.POLARS_FRAME
    if _is_instance(value, "polars", "Series"):
        return OutputKind.POLARS_SERIES
    if _is_instance(value, "pandas", "DataFrame"):
        return OutputKind.PANDAS_FRAME
    if callable(getattr(value, "savefig", None)) and not isinstance(value, type):
        return OutputKind.FIGURE
    return OutputKind.JSON


def polars_parquet(frame: "pl.DataFrame") -> bytes:
    """Return `frame` as Parquet."""
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def read_polars(data: bytes) -> "pl.DataFrame":
    """Return the DataFrame in `data`."""
    import polars as pl

    return pl.read_parquet(BytesIO(data), use_pyarrow=False)


def pandas_parquet(frame: Any) -> bytes:
    """Return `frame` as Parquet with its index; raises ValueError when pandas reads something else back."""
    buffer = BytesIO()
    try:
        frame.to_parquet(buffer)
    except ImportError as error:
        raise ValueError("pandas needs pyarrow to write Parquet: install it, or return a polars DataFrame") from error
    data = buffer.getvalue()
    if not read_pandas(data).equals(frame):
        raise ValueError("Parquet would not bring it back as it is: check its index and column types")
    return data


def read_pandas(data: bytes) -> Any:
    """Return the DataFrame in `data`."""
    pandas = import_module("pandas")
    return pandas.read_parquet(BytesIO(data))


def png(figure: Any) -> bytes:
    """Return `figure` (matplotlib's, or anything with a `savefig` like it) as PNG."""
    return _saved(figure, "png")


def svg(figure: Any) -> bytes:
    """Return `figure` as SVG."""
    return _saved(figure, "svg")


def _saved(figure: Any, form: str) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=form)
    return buffer.getvalue()


def _is_instance(value: Any, module: str, name: str) -> bool:
    """Tell whether `value` is of this class, without importing it: before its import nothing can be."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)
