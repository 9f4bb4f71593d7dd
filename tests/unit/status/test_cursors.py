"""Cursors."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.status.cursors import TimeCursor, decode_number_cursor, decode_time_cursor, encode_time_cursor
from shared.domain.errors import InvalidInput


@given(at=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)), task_id=st.uuids())  # noqa: DTZ001
def test_a_cursor_comes_back_to_the_microsecond(at: datetime, task_id: UUID) -> None:
    """What goes out in a page comes back equal, by text that is safe in a URL."""
    text = encode_time_cursor(TimeCursor(at, task_id))
    assert decode_time_cursor(text) == (at, task_id)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


@given(text=st.text())
def test_any_other_text_is_refused_as_a_field(text: str) -> None:
    """No text whatsoever raises another error."""
    with pytest.raises(InvalidInput) as refusal:
        decode_time_cursor(text)
    assert [error.field for error in refusal.value.errors] == ["cursor"]


@given(text=st.text().filter(lambda text: not (text.isascii() and text.isdigit())))
def test_any_text_but_digits_is_no_number(text: str) -> None:
    """Digits of other scripts included, which Python takes for numbers."""
    with pytest.raises(InvalidInput):
        decode_number_cursor(text)


@pytest.mark.parametrize("text", ["0", "7", str(2**63 - 1)])
def test_a_number_is_a_cursor_up_to_what_the_database_holds(text: str) -> None:
    """PostgreSQL's bigint is the limit."""
    assert decode_number_cursor(text) == int(text)


@pytest.mark.parametrize("text", ["", str(2**63), "0" * 30 + "1", "+1", "1_0"])
def test_what_is_no_plain_number_is_not(text: str) -> None:
    """Signs, separators and sizes that Python alone would take."""
    with pytest.raises(InvalidInput):
        decode_number_cursor(text)
