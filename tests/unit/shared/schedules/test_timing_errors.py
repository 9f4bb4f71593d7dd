"""What a timing as a whole must have, and the bounds of its times."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest

from shared.domain.errors import FieldError, InvalidInput
from shared.domain.timing import SessionEvent, SessionMoment, Timing, When
from shared.schedules import times_of, timing_errors
from tests.unit.shared.schedules.timings import complaint, cron, firsts, utc

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001
LAST_OF_ALL = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
FIRST_OF_ALL = datetime.min.replace(tzinfo=timezone(timedelta(hours=12)))


def test_a_timing_without_anything_is_told_what_there_is() -> None:
    """With an example."""
    assert complaint(Timing(when=When())) == (
        "when",
        'is empty: write exactly one of at, cron, every_seconds, session, such as {"cron": "0 9 * * mon-fri"}',
    )


@pytest.mark.parametrize(
    ("when", "given"),
    [
        (When(at=utc("2024-01-01"), cron="@daily"), "at and cron"),
        (When(cron="@daily", every_seconds=60.0), "cron and every_seconds"),
        (When(every_seconds=60.0, session=SessionMoment(event=SessionEvent.OPEN)), "every_seconds and session"),
    ],
)
def test_two_at_once_are_refused_by_name(when: When, given: str) -> None:
    """Nobody knows which was meant."""
    field, message = complaint(Timing(when=when))
    assert field == "when"
    assert message.startswith(f"has {given}: keep exactly one of at, cron, every_seconds, session, such as")


def test_all_that_is_wrong_is_told_at_once() -> None:
    """One error for each field."""
    timing = Timing(when=When(cron="* * *"), timezone="Mars", calendar="MOON", start_at=NAIVE, end_at=NAIVE)
    assert [error.field for error in timing_errors(timing)] == [
        "timezone",
        "calendar",
        "start_at",
        "end_at",
        "when.cron",
    ]
    with pytest.raises(InvalidInput) as raised:
        times_of(timing)
    assert list(raised.value.errors) == timing_errors(timing)
    assert all(isinstance(error, FieldError) for error in raised.value.errors)


@pytest.mark.parametrize("field", ["start_at", "end_at", "when.at"])
@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (NAIVE, "has no UTC offset: write one, such as 2026-03-02T09:30:00-05:00 or 2026-03-02T14:30:00Z"),
        (LAST_OF_ALL, "is out of range: write a time from 1900 to 2199, such as 2026-03-02T14:30:00Z"),
        (FIRST_OF_ALL, "is out of range: write a time from 1900 to 2199, such as 2026-03-02T14:30:00Z"),
    ],
)
def test_times_have_an_offset_and_a_year_that_can_be_computed_with(field: str, moment: datetime, message: str) -> None:
    """Each of the three that an author writes."""
    if field == "when.at":
        timing = Timing(when=When(at=moment))
    else:
        timing = Timing(
            when=When(every_seconds=60.0),
            start_at=moment if field == "start_at" else None,
            end_at=moment if field == "end_at" else None,
        )
    assert complaint(timing) == (field, message)


@pytest.mark.parametrize("end", ["2024-01-01 12:00", "2023-12-31 00:00"])
def test_the_end_is_after_the_start(end: str) -> None:
    """Not at it either."""
    timing = Timing(when=When(cron="@hourly"), start_at=utc("2024-01-01 12:00"), end_at=utc(end))
    assert complaint(timing) == (
        "end_at",
        "must be after start_at: write a later time, such as 2024-01-31T12:00:00+00:00",
    )


def test_times_at_either_bound_count_and_none_beyond() -> None:
    """From the first to the last, whatever is asked for."""
    timing = Timing(when=When(cron="@hourly"), start_at=utc("2024-01-01 12:00"), end_at=utc("2024-01-01 14:00"))
    assert firsts(timing, "2000-01-01", 9) == ["2024-01-01 12:00", "2024-01-01 13:00", "2024-01-01 14:00"]
    assert times_of(timing).after(utc("2024-01-01 14:00")) is None
    assert times_of(timing).after(utc("2024-01-01 13:59:59.999999")) == utc("2024-01-01 14:00")
    assert times_of(timing).after(utc("2024-01-01 11:59:59.999999")) == utc("2024-01-01 12:00")


def test_a_stretch_has_both_its_ends_and_none_where_it_runs_backwards() -> None:
    """As `start <= t <= end` says."""
    times = times_of(cron("@daily"))
    assert list(times.between(utc("2024-01-01"), utc("2024-01-02"))) == [utc("2024-01-01"), utc("2024-01-02")]
    assert list(times.between(utc("2024-01-01 00:00:00.000001"), utc("2024-01-01 23:59"))) == []
    assert list(times.between(utc("2024-01-02"), utc("2024-01-01"))) == []


def test_one_time_is_once() -> None:
    """In UTC, whatever offset it was written with."""
    at = datetime(2024, 1, 1, 9, tzinfo=timezone(timedelta(hours=-5)))
    times = times_of(Timing(when=When(at=at), timezone="Asia/Tokyo"))
    assert times.after(utc("2000-01-01")) == utc("2024-01-01 14:00")
    found = times.after(utc("2024-01-01 13:59:59.999999"))
    assert found is not None
    assert found.tzinfo is UTC
    assert times.after(utc("2024-01-01 14:00")) is None


@pytest.mark.parametrize(("start", "end"), [(utc("2025-01-01"), None), (None, utc("2023-01-01"))])
def test_one_time_outside_the_bounds_is_refused(start: datetime | None, end: datetime | None) -> None:
    """It would never come."""
    timing = Timing(when=When(at=utc("2024-01-01")), start_at=start, end_at=end)
    assert complaint(timing) == ("when.at", "must be from start_at to end_at: move it, or leave those out")


def test_bounds_that_leave_no_time_are_refused() -> None:
    """The next new year is after the end."""
    timing = Timing(when=When(cron="@yearly"), start_at=utc("2024-02-01"), end_at=utc("2024-12-31"))
    assert complaint(timing) == (
        "end_at",
        "leaves no time of the schedule after start_at: write a later one, or none",
    )


def test_a_start_that_nothing_follows_is_refused() -> None:
    """The last 29 February that is computed is that of 2196."""
    timing = Timing(when=When(cron="0 0 29 2 *"), start_at=utc("2197-01-01"))
    assert complaint(timing) == ("start_at", "leaves no time of the schedule until 2199: write an earlier one")


def test_an_end_in_the_past_is_no_mistake_of_the_timing() -> None:
    """What time it is knows the caller; without a start the schedule may have fired long ago."""
    assert timing_errors(Timing(when=When(cron="@yearly"), end_at=utc("1999-12-31"))) == []


@pytest.mark.parametrize("when", [When(cron="@hourly"), When(cron="0 9 * * *"), When(every_seconds=60.0)])
def test_any_moment_may_be_asked_about(when: When) -> None:
    """Also the first and the last that a datetime can hold: times are computed from 1900 to 2199."""
    times = times_of(Timing(when=when, timezone="America/New_York"))
    first = times.after(FIRST_OF_ALL)
    assert first is not None
    assert first.year == 1900
    assert times.after(LAST_OF_ALL) is None
    assert times.after(utc("2199-12-31 23:59:59")) is None
    assert next(times.between(FIRST_OF_ALL, LAST_OF_ALL)) in {first, utc("1900-01-01")}
    assert len(list(islice(times.between(utc("2199-12-31"), LAST_OF_ALL), 2000))) in {1, 24, 1440}


def test_equal_timings_share_their_times() -> None:
    """They are computed on each firing, and checked once."""
    assert times_of(cron("@daily", "Europe/Berlin")) is times_of(cron("@daily", "Europe/Berlin"))
