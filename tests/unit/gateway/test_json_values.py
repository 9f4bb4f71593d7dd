"""What JSON may be kept."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.json_values import DEEPEST, json_errors

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(JSON)
def test_what_passes_comes_back_as_it_went_in(value: Any) -> None:
    """A value without errors survives the log's encoding, and holds nothing that jsonb refuses."""
    if not list(json_errors(value, "p")):
        text = msgspec.json.encode(value)
        assert msgspec.json.decode(text) == value
        assert b"\\u0000" not in text


@given(JSON)
def test_what_is_refused_could_not_be_kept(value: Any) -> None:
    """Nothing is refused without need."""
    if list(json_errors(value, "p")):
        text = json.dumps(value)
        assert any(sign in text for sign in ("NaN", "Infinity", "\\u0000", "\\ud"))


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"a": {"b": [1, float("nan")]}}, ["p.a.b.1"]),
        ({"a": float("inf"), "b": float("-inf")}, ["p.b", "p.a"]),
        ({"a": "x\x00"}, ["p.a"]),
        ({"a": "\ud800"}, ["p.a"]),
        ({"\x00": float("nan")}, ["p"]),
        (_nested(DEEPEST), []),
        (_nested(DEEPEST + 1), ["p" + ".0" * (DEEPEST + 1)]),
    ],
)
def test_errors_name_the_way_to_the_value(value: Any, fields: list[str]) -> None:
    """Paths are dotted, through objects and lists."""
    assert [error.field for error in json_errors(value, "p")] == fields


def test_a_very_deep_value_is_refused_and_not_followed() -> None:
    """Depth costs no recursion."""
    assert len(list(json_errors(_nested(100_000), "p"))) == 1
