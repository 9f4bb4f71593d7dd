"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.durations import duration_text, seconds_of
from infra.cli.failures import RefusedError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("14400", 14400),
        ("0.5", 0.5),
        ("30s", 30),
        ("15m", 900),
        ("4h", 14400),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1d2h3m4.25s", 93784.25),
        ("0", 0),
    ],
)
def test_seconds_and_units_are_read(text: str, seconds: float) -> None:
    """A number alone means seconds; units go from the largest to the smallest."""
    assert seconds_of("--every", text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "4 h", "4H", "-5", "+5", "5m4h", "4h30", "1e3", "4h4h", "nan", "inf", "٤h", "4h\n"]
)
def test_a_duration_that_cannot_be_read_is_refused_with_the_option_and_an_example(text: str) -> None:
    """The sentence names the option, says what it got, and shows four durations."""
    with pytest.raises(RefusedError) as refused:
        seconds_of("--every", text)
    assert str(refused.value) == (
        f"--every {text} is not a duration: write seconds, such as 90, or days, hours, minutes and seconds in this "
        "order, such as 30s, 15m, 4h or 1h30m."
    )


@pytest.mark.parametrize("text", ["9" * 400, "9" * 400 + "h"])
def test_a_duration_beyond_numbers_is_refused(text: str) -> None:
    """JSON has no infinity to send."""
    with pytest.raises(RefusedError, match=r"^--jitter 9{20}\.\.\. is too long"):
        seconds_of("--jitter", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0, "0s"),
        (300.0, "5m"),
        (14400.0, "4h"),
        (5400, "1h30m"),
        (86400, "1d"),
        (36000, "10h"),
        (0.5, "0.5s"),
    ],
)
def test_a_duration_is_written_in_its_largest_units(seconds: float, text: str) -> None:
    """As it would be typed."""
    assert duration_text(seconds) == text


@given(st.integers(0, 10**9) | st.decimals(0, 10**6, places=3).map(float))
def test_what_is_written_is_read_back(seconds: float) -> None:
    """Exactly, to the millisecond."""
    assert seconds_of("--every", duration_text(seconds)) == seconds
