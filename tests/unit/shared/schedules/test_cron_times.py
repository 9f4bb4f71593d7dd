"""Cron texts against two independent readings: enumeration in many zones, and croniter where no clock is set."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shared.schedules import times_of, timing_errors
from tests.unit.shared.schedules.clocks import (
    ANY_DAY,
    ANY_MONTH,
    ANY_WEEKDAY,
    Drawn,
    DrawnCron,
    crons,
    days_of_shifts,
    decade,
)
from tests.unit.shared.schedules.timings import TICK, cron, walk

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Europe/London",
    "Australia/Lord_Howe",
    "Asia/Tokyo",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Pacific/Apia",
    "Africa/Casablanca",
]

half_hours = st.sampled_from(
    [Drawn("0", frozenset({0})), Drawn("30", frozenset({30})), Drawn("*/30", frozenset({0, 30}))]
)


@pytest.fixture(scope="module", params=ZONES)
def zone(request: pytest.FixtureRequest) -> str:
    """Return each zone in turn; pytest runs all tests of one before the next, so that one clock is kept at a time."""
    return str(request.param)


def examples(count: int) -> settings:
    """Return settings for so many examples, the same in each run."""
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def test_a_daily_time_comes_once_for_each_day_of_ten_years(zone: str) -> None:
    """3,652 days (one more or less at the ends), whatever is done to the clock; Samoa's missing day is made up for."""
    clock = decade(zone)
    half_past_two = Drawn("30", frozenset({30})), Drawn("2", frozenset({2}))
    drawn = DrawnCron(*half_past_two, ANY_DAY, ANY_MONTH, ANY_WEEKDAY)
    found = list(times_of(cron(drawn.text, zone)).between(clock.start, clock.end))
    assert found == clock.times(drawn)
    assert abs(len(found) - 3652) <= 1


def test_each_hour_of_a_year_comes_once(zone: str) -> None:
    """Wild hours follow time itself: but where the shift is by half an hour, they are an hour apart."""
    year = datetime(2011, 3, 1, tzinfo=UTC), datetime(2012, 3, 1, tzinfo=UTC)
    found = list(times_of(cron("@hourly", zone)).between(*year))
    apart = {later - earlier for earlier, later in pairwise(found)}
    assert apart == {timedelta(hours=1)} | ({timedelta(hours=1.5)} if zone == "Australia/Lord_Howe" else set())


@given(crons(half_hours))
@examples(4)
def test_ten_years_have_the_times_that_enumeration_finds(zone: str, drawn: DrawnCron) -> None:
    """Any text of whole and half hours, fixed or wild."""
    clock, timing = decade(zone), cron(drawn.text, zone)
    assume(not timing_errors(timing))
    found = list(islice(times_of(timing).between(clock.start, clock.end), 3000))
    assert found == clock.times(drawn)[:3000], drawn.text


@given(crons(), st.data())
@examples(16)
def test_days_of_shifts_have_the_times_that_enumeration_finds(zone: str, drawn: DrawnCron, data: st.DataObject) -> None:
    """Any text, to the minute, around any shift of the decade; one by one they are the same, and they only grow."""
    if not days_of_shifts(zone):
        return
    clock = data.draw(st.sampled_from(days_of_shifts(zone)))
    shift = clock.shifts[0]
    anywhen = drawn._replace(month=ANY_MONTH)
    on_that_day = anywhen._replace(day=Drawn(str(shift.day), frozenset({shift.day})), weekday=ANY_WEEKDAY)
    drawn = data.draw(st.sampled_from([drawn, anywhen, on_that_day]))
    assume(not timing_errors(cron(drawn.text, zone)))
    times = times_of(cron(drawn.text, zone))
    found = list(times.between(clock.start, clock.end))
    assert found == clock.times(drawn), drawn.text
    assert all(earlier < later for earlier, later in pairwise(found))
    near = shift - timedelta(hours=2), shift + timedelta(hours=2)
    assert walk(times, *near) == [each for each in found if near[0] <= each <= near[1]]


@given(crons(shortest=1), st.datetimes(datetime(2016, 1, 1), datetime(2026, 1, 1)))  # noqa: DTZ001
@examples(120)
def test_without_shifts_croniter_finds_the_same(drawn: DrawnCron, start: datetime) -> None:
    """But for two things in which Vixie cron (entry.c, cron.c) is followed and croniter does not follow it.

    It takes a range of one value (`5-5`) for the whole field. And of the fields of days it takes a full range (`1-31`)
    for a star, and a star with a step (`*/2`), or within a list, for a restriction.
    """
    assume(is_plain(drawn.day) and is_plain(drawn.weekday))
    timing = cron(drawn.text)
    assume(not timing_errors(timing))
    start = start.replace(tzinfo=UTC)
    expected = [each.astimezone(UTC) for each in islice(croniter(drawn.text, start).all_next(datetime), 10)]
    found = times_of(timing).between(start + TICK, datetime(2190, 1, 1, tzinfo=UTC))
    assert list(islice(found, 10)) == expected, drawn.text
    assert times_of(timing).after(start) == expected[0]


def is_plain(field: Drawn) -> bool:
    """Return whether croniter sees in a field of days what Vixie cron sees."""
    full = field.numbers >= ANY_DAY.numbers or {number % 7 for number in field.numbers} == set(range(7))
    return field.text == "*" or ("*" not in field.text and not full)
