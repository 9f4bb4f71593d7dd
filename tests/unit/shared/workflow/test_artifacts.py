"""What is kept for people, and under which media type."""

import math
from datetime import date
from io import BytesIO
from typing import Any

import msgspec
import polars as pl
import pytest

from shared.objects.memory import MemoryObjectStore
from shared.workflow import Decision
from shared.workflow.artifacts import keep
from shared.workflow.codec import OutputRefused
from shared.workflow.orders import Side


class Figure:
    """What of a figure counts here."""

    def savefig(self, file: BytesIO, *, format: str) -> None:
        """Write a picture."""
        file.write({"png": b"\x89PNG", "svg": b"<svg/>"}[format])


class Point(msgspec.Struct):
    """A struct."""

    x: int


FRAME = pl.DataFrame({"day": [date(2024, 1, 31)], "close": [1.5]})
DECISION = Decision(symbol="MSFT", action=Side.BUY, quantity=10, reason="It fell.")


@pytest.mark.parametrize(
    ("name", "value", "media_type", "content"),
    [
        ("chart.png", Figure(), "image/png", b"\x89PNG"),
        ("chart.svg", Figure(), "image/svg+xml", b"<svg/>"),
        ("report.html", "<p>\u00e9</p>", "text/html", "<p>\u00e9</p>".encode()),
        ("notes", "plain", "text/plain; charset=utf-8", b"plain"),
        ("report.pdf", b"%PDF", "application/pdf", b"%PDF"),
        ("data", b"\x00", "application/octet-stream", b"\x00"),
        ("data.tar.gz", b"\x00", "application/octet-stream", b"\x00"),
        ("bars.csv", FRAME, "text/csv", b"day,close\n2024-01-31,1.5\n"),
        ("close.csv", FRAME["close"], "text/csv", b"close\n1.5\n"),
        ("weights.json", {"MSFT": 0.5}, "application/json", b'{"MSFT":0.5}'),
        ("days", (date(2024, 1, 31),), "application/json", b'["2024-01-31"]'),
        ("point", Point(1), "application/json", b'{"x":1}'),
    ],
)
def test_an_artifact_is_kept_in_the_form_that_its_name_promises(
    name: str, value: Any, media_type: str, content: bytes
) -> None:
    """A browser shows what it gets by the media type."""
    store = MemoryObjectStore()
    ref = keep(name, value, store=store)
    assert (ref.media_type, store.get(ref)) == (media_type, content)


def test_a_table_is_parquet_unless_it_is_called_csv() -> None:
    """Parquet keeps the types."""
    store = MemoryObjectStore()
    ref = keep("bars.parquet", FRAME, store=store)
    assert ref.media_type == "application/vnd.apache.parquet"
    assert pl.read_parquet(BytesIO(store.get(ref))).equals(FRAME)


def test_a_model_is_kept_as_its_fields() -> None:
    """Artifacts are for people, so a decision is readable JSON."""
    store = MemoryObjectStore()
    kept = msgspec.json.decode(store.get(keep("decision", DECISION, store=store)))
    assert (kept["symbol"], kept["action"], kept["quantity"]) == ("MSFT", "buy", "10")


@pytest.mark.parametrize("value", [{"a": math.nan}, object(), "\ud800"], ids=["nan", "object", "surrogate"])
def test_what_cannot_be_kept_is_refused_by_name(value: Any) -> None:
    """The step fails, and says which artifact it was."""
    with pytest.raises(OutputRefused, match=r"The artifact 'odd\.json' of type"):
        keep("odd.json", value, store=MemoryObjectStore())
