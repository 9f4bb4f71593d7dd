"""From a step's value to the log's form and back: equal, or refused with a sentence."""

import dataclasses
import hashlib
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pandas
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal
from polars.testing.parametric import dataframes
from pydantic import BaseModel, computed_field
from typing_extensions import TypedDict

from shared.domain.outputs import ObjectRef, Output, OutputKind
from shared.objects.memory import MemoryObjectStore
from shared.objects.store import ObjectCorrupt, ObjectMissing
from shared.workflow import Context, Decision, Workflow
from shared.workflow.codec import (
    MAX_INLINE_BYTES,
    OutputNotStored,
    OutputRefused,
    decode,
    decode_output,
    encode,
    encode_output,
)
from shared.workflow.orders import Side


@pytest.fixture
def store() -> MemoryObjectStore:
    """An empty object store."""
    return MemoryObjectStore()


def through_the_log(value: Any, annotation: Any, store: MemoryObjectStore) -> Any:
    """Return what comes back when the output has been to the log as JSON text."""
    text = msgspec.json.encode(encode(value, annotation, store=store))
    return decode(msgspec.json.decode(text, type=Output), annotation, store=store)


class Colour(StrEnum):
    """A closed set."""

    RED = "red"


class Bar(BaseModel):
    """A model with a computed field, which is no field of its own."""

    day: date
    close: Decimal

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> Decimal:
        """Twice the close."""
        return 2 * self.close


@dataclasses.dataclass(frozen=True)
class Signal:
    """A dataclass."""

    symbol: str
    strength: float
    at: datetime


@dataclasses.dataclass(eq=False)
class Bare:
    """A dataclass that equals only itself."""

    days: tuple[date, ...]


class Tick(msgspec.Struct, frozen=True):
    """A msgspec struct."""

    price: Decimal
    at: datetime


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: date


class Quote(TypedDict):
    """A typed dict."""

    bid: Decimal


NOW = datetime(2024, 1, 31, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (None, float | None),
        (True, bool),
        (2**80, int),
        (0.1, float),
        ("\u00e9\U0001f600\n", str),
        ([1, "two", None, {"three": [3.5]}], Any),
        ({"MSFT": 1.5}, dict[str, float]),
        ({date(2024, 1, 31): 1}, dict[date, int]),
        ({1: "one"}, dict[int, str]),
        ((1, date(2024, 1, 31)), tuple[int, date]),
        ({"A", "B"}, set[str]),
        (frozenset({1}), frozenset[int]),
        (Decimal("1.10"), Decimal),
        (date(2024, 1, 31), date),
        (NOW, datetime),
        (timedelta(seconds=1.5), timedelta),
        (UUID(int=7), UUID),
        (Colour.RED, Colour),
        (Bar(day=date(2024, 1, 31), close=Decimal("1.10")), Bar),
        ([Signal("MSFT", 0.5, NOW)], list[Signal]),
        ([Tick(Decimal("1.10"), NOW)], list[Tick]),
        ({"MSFT": Tick(Decimal("1.10"), NOW)}, dict[str, Tick] | None),
        (Pair(1, date(2024, 1, 31)), Pair),
        ({"bid": Decimal("1.1")}, Quote),
        ([Decision(symbol="MSFT", action=Side.BUY, quantity=Decimal(10), reason="It fell.")], list[Decision]),
    ],
)
def test_json_values_come_back_equal_and_of_the_same_type(
    value: Any, annotation: Any, store: MemoryObjectStore
) -> None:
    """They stand in the log itself, and nothing goes to the store."""
    back = through_the_log(value, annotation, store)
    assert back == value
    assert type(back) is type(value)
    assert store.contents == {}


def test_a_dataclass_without_equality_is_compared_by_its_fields(store: MemoryObjectStore) -> None:
    """Two of them are never equal, and still one is what the other was."""
    back = through_the_log(Bare(days=(date(2024, 1, 31),)), Bare, store)
    assert (type(back), back.days) == (Bare, (date(2024, 1, 31),))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(json_values)
def test_every_json_value_comes_back_without_an_annotation(value: Any) -> None:
    """JSON's own types need no help."""
    store = MemoryObjectStore()
    back = through_the_log(value, Any, store)
    assert back == value
    assert repr(back) == repr(value)


@given(
    st.lists(
        st.builds(
            Signal,
            symbol=st.text(st.characters(exclude_categories=["Cs"])),
            strength=st.floats(allow_nan=False, allow_infinity=False),
            at=st.datetimes(timezones=st.just(UTC)),
        )
    )
)
def test_every_dataclass_comes_back_by_its_annotation(value: list[Signal]) -> None:
    """Times to the microsecond, floats to the last bit."""
    assert through_the_log(value, list[Signal], MemoryObjectStore()) == value


@given(dataframes(excluded_dtypes=[pl.Object], max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_polars_dataframe_comes_back(frame: pl.DataFrame) -> None:
    """Schema, nulls, NaN and infinity."""
    assert_frame_equal(through_the_log(frame, pl.DataFrame, MemoryObjectStore()), frame)


def test_a_dataframe_is_parquet_in_the_store_that_others_can_read(store: MemoryObjectStore) -> None:
    """The log has a reference with media type, size and hash."""
    frame = pl.DataFrame({"day": [date(2024, 1, 31)], "close": [math.nan]})
    output = encode(frame, pl.DataFrame, store=store)
    assert (output.kind, output.inline) == (OutputKind.POLARS_FRAME, None)
    assert output.ref is not None
    data = store.get(output.ref)
    assert output.ref == ObjectRef(
        uri=f"object://sha256/{hashlib.sha256(data).hexdigest()}",
        media_type="application/vnd.apache.parquet",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    assert_frame_equal(pl.read_parquet(BytesIO(data)), frame)


def test_an_optional_dataframe_comes_back_or_is_none(store: MemoryObjectStore) -> None:
    """The kind is told by the value, not by the annotation."""
    assert through_the_log(None, pl.DataFrame | None, store) is None
    assert through_the_log(pl.DataFrame({"a": [1]}), pl.DataFrame | None, store).height == 1


@pytest.mark.parametrize(
    "series", [pl.Series("close", [1.0, None]), pl.Series([1, 2]), pl.Series("empty", [], pl.Date)]
)
def test_a_series_comes_back_with_its_name_and_type(series: pl.Series, store: MemoryObjectStore) -> None:
    """As Parquet of one column."""
    assert_series_equal(through_the_log(series, pl.Series, store), series)


def test_a_pandas_dataframe_comes_back_with_its_index(store: MemoryObjectStore) -> None:
    """Where pandas and pyarrow are installed."""
    frame = pandas.DataFrame({"close": [1.0, 2.0]}, index=pandas.to_datetime(["2024-01-30", "2024-01-31"]))
    back = through_the_log(frame, pandas.DataFrame, store)
    pandas.testing.assert_frame_equal(back, frame)


def test_a_pandas_dataframe_that_parquet_would_change_is_refused(store: MemoryObjectStore) -> None:
    """Columns of mixed objects, for one."""
    with pytest.raises(OutputRefused, match="DataFrame that cannot be stored"):
        encode(pandas.DataFrame({"mixed": [1, "two", {3}]}), pandas.DataFrame, store=store)


@pytest.mark.parametrize("value", [b"", b"\x00\xff", bytearray(b"bars"), memoryview(b"bars")])
def test_bytes_come_back(value: Any, store: MemoryObjectStore) -> None:
    """Whatever kind of bytes they were, they come back as bytes."""
    assert through_the_log(value, bytes, store) == bytes(value)


class Figure:
    """What of a matplotlib figure counts here."""

    def savefig(self, file: BytesIO, *, format: str) -> None:
        """Write a picture."""
        file.write(b"\x89PNG as " + format.encode())


def test_a_figure_comes_back_as_its_png(store: MemoryObjectStore) -> None:
    """A picture is for people: the next step gets bytes."""
    output = encode(Figure(), Figure, store=store)
    assert output.ref is not None
    assert output.ref.media_type == "image/png"
    assert decode(output, Figure, store=store) == b"\x89PNG as png"


@pytest.mark.parametrize("length", [MAX_INLINE_BYTES - 2, MAX_INLINE_BYTES - 1])
def test_json_over_64_kib_goes_to_the_store(length: int, store: MemoryObjectStore) -> None:
    """The two quotation marks count."""
    value = "x" * length
    output = encode(value, str, store=store)
    assert (output.ref is None) == (length + 2 <= 64 * 1024)
    assert decode(output, str, store=store) == value


def test_a_nul_keeps_a_text_out_of_the_log(store: MemoryObjectStore) -> None:
    """PostgreSQL's JSON cannot hold it, the store can."""
    output = encode({"raw": "a\x00b"}, dict[str, str], store=store)
    assert output.ref is not None
    assert decode(output, dict[str, str], store=store) == {"raw": "a\x00b"}


@pytest.mark.parametrize(
    ("value", "annotation", "place"),
    [
        (math.nan, float, "nan at the value"),
        ({"MSFT": [1.0, math.inf]}, dict[str, list[float]], r"inf at the value\['MSFT'\]\[1\]"),
        ([None, -math.inf], Any, r"-inf at the value\[1\]"),
        ([Signal("MSFT", math.nan, NOW)], list[Signal], r"nan at the value\[0\]\.strength"),
        (Decimal("NaN"), Decimal, "NaN at the value"),
    ],
)
def test_a_number_that_json_does_not_have_is_refused_with_its_place(
    value: Any, annotation: Any, place: str, store: MemoryObjectStore
) -> None:
    """It would quietly become null, and the next step would decide on it."""
    with pytest.raises(OutputRefused, match=place) as refusal:
        encode(value, annotation, store=store, subject="Step 'signal'")
    assert str(refusal.value).startswith("Step 'signal' returned")
    assert "Return None there" in str(refusal.value)


class Handle:
    """Something that only this process can use."""


class Narrow(BaseModel):
    """A model."""

    a: int


class Wide(Narrow):
    """A model with one field more."""

    b: int


looped: list[Any] = []
looped.append(looped)


@pytest.mark.parametrize(
    ("value", "annotation", "reason"),
    [
        ((1, 2), Any, r"no return type and returned \(1, 2\).*come back as \[1, 2\]"),
        (date(2024, 1, 31), Any, "come back as '2024-01-31'"),
        ([date(2024, 1, 31)], list, "return type list"),
        ({1: "one"}, dict, "come back as {'1': 'one'}"),
        (Wide(a=1, b=2), Narrow, "return type Narrow"),
        (Handle(), Any, "Unable to serialize unknown type"),
        ({"bars": pl.DataFrame()}, Any, "JSON cannot carry"),
        (pl.LazyFrame(), Any, "JSON cannot carry"),
        ([b"\xff"], list[bytes], "JSON cannot carry"),
        ("\ud800", str, "surrogates not allowed"),
        (looped, Any, "JSON cannot carry"),
        ([Tick(Decimal(1), NOW)], Any, "JSON cannot carry"),
    ],
)
def test_a_value_that_would_come_back_otherwise_is_refused(
    value: Any, annotation: Any, reason: str, store: MemoryObjectStore
) -> None:
    """The sentence says what is allowed; a return type on the step mends most of them."""
    with pytest.raises(OutputRefused, match=reason) as refusal:
        encode(value, annotation, store=store, subject="Step 'signal'")
    assert "A step may return" in str(refusal.value)


def test_a_table_that_parquet_cannot_hold_is_refused(store: MemoryObjectStore) -> None:
    """A column of Python objects."""
    frame = pl.DataFrame({"a": [Handle()]}, schema={"a": pl.Object})
    with pytest.raises(OutputRefused, match="Step 'x' returned a DataFrame that cannot be stored"):
        encode(frame, pl.DataFrame, store=store, subject="Step 'x'")


def test_a_store_that_fails_says_that_a_retry_may_help() -> None:
    """The value is not to blame."""

    class FullStore(MemoryObjectStore):
        def put(self, data: bytes, media_type: str) -> ObjectRef:
            """Take nothing."""
            raise OSError("No space left on device")

    with pytest.raises(OutputNotStored, match=r"did not take 4 bytes.*No space left"):
        encode(b"bars", bytes, store=FullStore())


def test_a_damaged_or_missing_object_is_never_passed_on(store: MemoryObjectStore) -> None:
    """Its hash is checked on every read."""
    output = encode(b"bars", bytes, store=store)
    [digest] = store.contents
    store.contents[digest] = b"rats"
    with pytest.raises(ObjectCorrupt, match="is damaged"):
        decode(output, bytes, store=store)
    del store.contents[digest]
    with pytest.raises(ObjectMissing, match="not in this store"):
        decode(output, bytes, store=store)


def test_an_output_is_a_new_object_each_time(store: MemoryObjectStore) -> None:
    """What one step does to its input, the next does not see."""
    output = encode([1, 2], list[int], store=store)
    decode(output, list[int], store=store).append(3)
    assert decode(output, list[int], store=store) == [1, 2]


def test_a_step_knows_how_to_store_what_it_returns(store: MemoryObjectStore) -> None:
    """Its return type leads back, and its name is in the refusal."""
    workflow = Workflow("test", title="Test")

    @workflow.step
    def days(ctx: Context) -> list[date]:
        return []

    [step] = workflow.steps
    output = encode_output(step, [date(2024, 1, 31)], store=store)
    assert output.inline == ["2024-01-31"]
    assert decode_output(step, output, store=store) == [date(2024, 1, 31)]
    with pytest.raises(OutputRefused, match="Step 'days'"):
        encode_output(step, object(), store=store)
