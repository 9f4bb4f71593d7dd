"""Times that follow an exchange's sessions, against the calendars' own tables and against dates known by hand."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import exchange_calendars  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.timing import SessionEvent, Timing, When
from shared.schedules import times_of, timing_errors
from tests.unit.shared.schedules.timings import TICK, complaint, cron, every, firsts, session, utc, walk

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pandas 4 is announced to the library

OPEN, CLOSE = SessionEvent.OPEN, SessionEvent.CLOSE
EXCHANGES = ["XNYS", "XLON", "XTKS", "XHKG"]
TEN_YEARS = datetime(2015, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2024, 10, 30), timezones=st.just(UTC))  # noqa: DTZ001


@cache
def table(code: str) -> Any:
    """Return the library's own table of ten years."""
    return exchange_calendars.get_calendar(code, start="2015-01-01", end="2024-12-31").schedule


@pytest.mark.parametrize("code", EXCHANGES)
@pytest.mark.parametrize("event", [OPEN, CLOSE])
def test_ten_years_of_sessions_are_those_of_the_table(code: str, event: SessionEvent) -> None:
    """Half days and all."""
    expected = [each.to_pydatetime().astimezone(UTC) for each in table(code)[event.value]]
    assert len(expected) > 2400
    assert list(times_of(session(code, event)).between(*TEN_YEARS)) == expected


@pytest.mark.parametrize(
    ("code", "event", "since", "times"),
    [
        ("XNYS", OPEN, "2024-03-08", ["2024-03-08 14:30", "2024-03-11 13:30"]),
        ("XNYS", CLOSE, "2024-07-03", ["2024-07-03 17:00", "2024-07-05 20:00"]),
        ("XNYS", CLOSE, "2024-11-28", ["2024-11-29 18:00", "2024-12-02 21:00"]),
        ("NYSE", OPEN, "2024-03-29", ["2024-04-01 13:30", "2024-04-02 13:30"]),
        ("XLON", CLOSE, "2024-12-24", ["2024-12-24 12:30", "2024-12-27 16:30"]),
        ("XTKS", OPEN, "2024-12-30", ["2024-12-30 00:00", "2025-01-06 00:00"]),
        ("XHKG", CLOSE, "2024-02-09", ["2024-02-09 04:00", "2024-02-14 08:00"]),
        ("CMES", OPEN, "2024-03-10", ["2024-03-10 22:00", "2024-03-11 22:00"]),
        ("24/7", OPEN, "2024-02-29", ["2024-02-29 00:00", "2024-03-01 00:00"]),
        ("24/7", CLOSE, "2024-02-29", ["2024-02-29 00:00", "2024-03-01 00:00"]),
    ],
)
def test_days_that_are_known_by_hand(code: str, event: SessionEvent, since: str, times: list[str]) -> None:
    """Independence Day's eve, the day after Thanksgiving, Good Friday, Christmas Eve, new years of two kinds."""
    assert firsts(session(code, event), since, 2) == times


@pytest.mark.parametrize("offset", [-86_400, -300, 0, 0.25, 3600, 86_400])
def test_an_offset_moves_each_time_and_leaves_their_order(offset: float) -> None:
    """Up to a day either way; five minutes before the close of a half day are five minutes before one o'clock."""
    plain, moved = session("XNYS", CLOSE), session("XNYS", CLOSE, offset)
    by = timedelta(seconds=offset)
    closes = list(times_of(plain).between(*TEN_YEARS))
    found = list(times_of(moved).between(closes[0] + by, closes[-1] + by))
    assert found == [each + by for each in closes]
    assert firsts(session("XNYS", CLOSE, -300), "2024-07-03", 1) == ["2024-07-03 16:55"]


@given(st.sampled_from(EXCHANGES), st.sampled_from([OPEN, CLOSE]), st.integers(-86_400, 86_400), INSTANTS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_one_by_one_the_times_are_the_same(code: str, event: SessionEvent, offset: int, start: datetime) -> None:
    """Whatever moment one begins to ask at."""
    times, end = times_of(session(code, event, offset)), start + timedelta(days=20)
    assert list(times.between(start, end)) == walk(times, start, end)


def test_a_text_with_a_calendar_counts_on_days_with_a_session_only() -> None:
    """Good Friday of 2024, and the days beside it."""
    timing = cron("0 9 * * mon-fri", "America/New_York", "XNYS")
    assert firsts(timing, "2024-03-28 00:00") == ["2024-03-28 13:00", "2024-04-01 13:00", "2024-04-02 13:00"]


def test_the_day_is_the_exchange_s_own() -> None:
    """Noon in New York on Sunday is Monday in Tokyo; on Friday it is Saturday there."""
    timing = cron("0 12 * * fri,sun", "America/New_York", "XTKS")
    assert firsts(timing, "2024-05-17 00:00", 2) == ["2024-05-19 16:00", "2024-05-26 16:00"]


@given(st.sampled_from(EXCHANGES), st.sampled_from(["30 */6 * * *", "0 12 13 * fri", "15 3 * * *"]), INSTANTS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_of_a_text_exactly_the_times_on_session_days_are_left(code: str, text: str, start: datetime) -> None:
    """The calendar takes away, and moves nothing."""
    end = start + timedelta(days=60)
    sessions = {each.date() for each in table(code).index}
    zone = exchange_calendars.get_calendar(code).tz
    plain = times_of(cron(text, "Europe/Berlin")).between(start, end)
    expected = [each for each in plain if each.astimezone(zone).date() in sessions]
    times = times_of(cron(text, "Europe/Berlin", code))
    assert list(times.between(start, end)) == expected
    assert walk(times, start, end) == expected


def test_an_interval_jumps_over_closed_days_and_keeps_its_beat() -> None:
    """Every seven seconds, from the end of Wednesday (New York) over Independence Day to Friday's first moment."""
    start = utc("2024-07-04 03:59:50")
    times = times_of(every(7, calendar="XNYS"))
    before = [each for each in times.between(start, utc("2024-07-05 04:00:10")) if each < utc("2024-07-05 00:00")]
    first = times.after(utc("2024-07-04 04:00"))
    assert before == [each for each in times_of(every(7)).between(start, utc("2024-07-04 04:00") - TICK)]
    assert first == times_of(every(7)).after(utc("2024-07-05 04:00") - TICK)


def test_one_time_counts_on_a_day_with_a_session() -> None:
    """However far away it is."""
    timing = Timing(when=When(at=utc("2096-01-04 15:00")), calendar="XNYS")
    assert times_of(timing).after(utc("2024-01-01")) == utc("2096-01-04 15:00")
    assert times_of(timing).after(utc("2096-01-04 15:00")) is None


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("2024-03-29 15:00", "2024-03-29 has no session of XNYS: the next day that has one is 2024-04-01"),
        ("2024-04-01 03:00", "2024-03-31 has no session of XNYS: the next day that has one is 2024-04-01"),
    ],
)
def test_one_time_on_a_closed_day_is_refused(moment: str, message: str) -> None:
    """By the exchange's own date."""
    assert complaint(Timing(when=When(at=utc(moment)), calendar="XNYS")) == ("when.at", message)


@pytest.mark.parametrize("text", ["0 9 * * sat", "0 9 25 12 *", "0 17 * * sun", "0 9 1 1 *"])
def test_a_text_that_meets_no_session_is_refused(text: str) -> None:
    """At noon of New York's weekends, Christmas and New Year it is never a day of trade there."""
    field, message = complaint(cron(text, "America/New_York", "XNYS"))
    assert field == "when.cron"
    assert message.startswith(
        "never meets a day on which XNYS has a session, in 29 years: write days of trade, such as"
    )


@pytest.mark.parametrize("text", ["0 9 29 2 *", "0 9 24 12 *", "0 20 * * sun#1"])
def test_a_text_that_seldom_meets_one_is_taken(text: str) -> None:
    """29 February, Christmas Eve, and a Sunday in New York that is Monday in Tokyo."""
    assert timing_errors(cron(text, "America/New_York", "XTKS" if "sun" in text else "XNYS")) == []
    assert firsts(cron("0 9 29 2 *", "America/New_York", "XNYS"), "2024-01-01", 2) == [
        "2024-02-29 14:00",
        "2028-02-29 14:00",
    ]


def test_an_interval_that_meets_no_session_is_refused() -> None:
    """Each week from a Saturday on."""
    field, message = complaint(every(7 * 86_400, start_at=utc("2024-01-06 12:00"), calendar="XNYS"))
    assert field == "when.every_seconds"
    assert message.startswith("never meets a day on which XNYS has a session")


def test_sessions_need_a_calendar() -> None:
    """The field that is missing is named."""
    assert complaint(session(None, OPEN)) == (
        "calendar",
        "is needed with when.session: write the code of an exchange, such as XNYS",
    )


@pytest.mark.parametrize("offset", [-86_400.001, 86_401, 1e300, float("inf"), float("nan")])
def test_an_offset_of_more_than_a_day_is_refused(offset: float) -> None:
    """It could pass the next session."""
    field, message = complaint(session("XNYS", OPEN, offset))
    assert field == "when.session"
    assert "is out of range: write -86400 to 86400, such as -300 for five minutes before" in message


def test_an_offset_finer_than_milliseconds_is_refused() -> None:
    """As an interval is."""
    assert complaint(session("XNYS", OPEN, 0.0001))[1].startswith("0.0001 has more than three decimals")


def test_there_are_no_times_where_sessions_are_not_known() -> None:
    """Saudi Arabia's begin with 2021 and end with 2029, whatever is asked."""
    times = times_of(session("XSAU", OPEN))
    first, last = times.after(utc("1950-01-01")), list(times.between(utc("2029-12-01"), utc("2100-01-01")))[-1]
    assert first is not None
    assert (first.date(), last.date()) == (date(2021, 1, 3), date(2029, 12, 31))
    assert times.after(last) is None
    assert times_of(cron("0 9 * * *", "Asia/Riyadh", "XSAU")).after(utc("1950-01-01")) == utc("2021-01-03 06:00")
    assert times_of(cron("0 9 * * *", "Asia/Riyadh", "XSAU")).after(last + timedelta(days=1)) is None


def test_a_schedule_that_begins_after_the_last_known_session_is_refused_with_its_day() -> None:
    """The sentence says how far the calendar goes."""
    timing = Timing(when=When(cron="@daily"), calendar="XSAU", start_at=utc("2030-01-01"))
    assert complaint(timing) == (
        "calendar",
        "the sessions of XSAU are known until 2029-12-31 only, which leaves no time after start_at: "
        "write an earlier start_at",
    )
    at = Timing(when=When(at=utc("2031-01-01")), calendar="XSAU")
    assert complaint(at) == ("when.at", "the sessions of XSAU are known until 2029-12-31 only: write an earlier day")
