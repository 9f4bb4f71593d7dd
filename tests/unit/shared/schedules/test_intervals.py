"""Intervals: anchored, exact, and the same wherever one begins to count."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.timing import Timing, When
from shared.schedules import times_of, timing_errors
from tests.unit.shared.schedules.timings import complaint, every, firsts, utc, walk

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEN_YEARS = st.datetimes(datetime(2016, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
MILLISECONDS = st.one_of(st.integers(1_000, 10_000), st.integers(1_000, 366 * 86_400_000))


def test_without_a_start_intervals_are_counted_from_1970() -> None:
    """So 15 minutes are the quarters of each hour, whoever counts."""
    assert firsts(every(900), "2024-01-01 00:01") == ["2024-01-01 00:15", "2024-01-01 00:30", "2024-01-01 00:45"]


def test_with_a_start_they_are_counted_from_it() -> None:
    """The start is the first of them."""
    timing = every(900, start_at=utc("2024-01-01 00:07"))
    assert firsts(timing, "2023-01-01", 2) == ["2024-01-01 00:07", "2024-01-01 00:22"]
    assert firsts(timing, "2025-06-01", 1) == ["2025-06-01 00:07"]


def test_thirds_of_a_second_do_not_add_up_to_an_error() -> None:
    """After ten years of 1.001 seconds the time is still a whole number of them from the anchor, to the microsecond."""
    moment = times_of(every(1.001)).after(utc("2034-01-01 00:00"))
    assert moment is not None
    assert (moment - EPOCH) % timedelta(milliseconds=1001) == timedelta(0)


def test_clocks_that_are_set_do_not_matter() -> None:
    """Every six hours stay six hours across New York's spring."""
    timing = Timing(when=When(every_seconds=21_600), timezone="America/New_York")
    assert firsts(timing, "2024-03-10 01:00") == ["2024-03-10 06:00", "2024-03-10 12:00", "2024-03-10 18:00"]


@given(MILLISECONDS, TEN_YEARS, TEN_YEARS)
def test_each_time_is_a_whole_number_of_intervals_from_the_anchor(
    milliseconds: int, anchor: datetime, moment: datetime
) -> None:
    """And the first one after a moment is less than an interval, and more than nothing, away from it."""
    length = timedelta(milliseconds=milliseconds)
    found = times_of(every(milliseconds / 1000, start_at=anchor)).after(moment)
    assert found is not None
    assert (found - anchor) % length == timedelta(0)
    assert found == anchor if moment < anchor else timedelta(0) < found - moment <= length


@given(MILLISECONDS, TEN_YEARS)
def test_a_stretch_has_the_times_that_one_finds_one_by_one(milliseconds: int, start: datetime) -> None:
    """They are one interval apart, and none is left out at either end."""
    length = timedelta(milliseconds=milliseconds)
    times, end = times_of(every(milliseconds / 1000)), start + 20 * length
    stretch = list(times.between(start, end))
    assert stretch == walk(times, start, end)
    assert len(stretch) in {20, 21}
    assert {later - earlier for earlier, later in pairwise(stretch)} == {length}


@pytest.mark.parametrize("seconds", [1, 1.5, 0.001 + 1, 86_400, 366 * 86_400])
def test_a_second_to_366_days_in_milliseconds_are_taken(seconds: float) -> None:
    """Both ends included."""
    assert timing_errors(every(seconds)) == []


@pytest.mark.parametrize("seconds", [0, 0.999, -60, 366 * 86_400 + 0.001, 1e300, float("inf"), float("nan")])
def test_intervals_out_of_range_are_refused(seconds: float) -> None:
    """With the range, and an example."""
    field, message = complaint(every(seconds))
    assert field == "when.every_seconds"
    assert "write 1 to 31622400 seconds (366 days), such as 900" in message


@pytest.mark.parametrize("seconds", [1.0001, 2.00005, 1.23456789])
def test_more_than_three_decimals_are_refused(seconds: float) -> None:
    """They could not be kept exactly."""
    assert complaint(every(seconds)) == (
        "when.every_seconds",
        f"{seconds} has more than three decimals: write at most milliseconds, such as 1.5 or 0.25",
    )
