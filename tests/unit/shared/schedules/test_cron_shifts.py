"""Cron texts on days on which a clock is set forward or back: one example for each kind of shift."""

import pytest

from tests.unit.shared.schedules.timings import cron, firsts


def test_a_time_that_the_clock_skips_comes_at_the_end_of_the_gap() -> None:
    """On 10 March 2024 New York's clock goes from 02:00 to 03:00, which is 07:00 UTC."""
    assert firsts(cron("30 2 * * *", "America/New_York"), "2024-03-09 00:00") == [
        "2024-03-09 07:30",
        "2024-03-10 07:00",
        "2024-03-11 06:30",
    ]


@pytest.mark.parametrize("text", ["0,15,30,59 2 * * *", "*/15 2 * * *", "30 2,3 * * *", "0 2-3 * * *"])
def test_several_skipped_times_come_at_once(text: str) -> None:
    """Also where the minutes are wild, and together with a time that is due at that instant anyway."""
    [first, second] = firsts(cron(text, "America/New_York"), "2024-03-10 06:00", 2)
    assert first == "2024-03-10 07:00"
    assert second > "2024-03-10 07:29"


def test_a_time_that_the_clock_shows_twice_comes_the_first_time() -> None:
    """On 3 November 2024 New York has 01:30 at 05:30 and at 06:30 UTC."""
    assert firsts(cron("30 1 * * *", "America/New_York"), "2024-11-03 00:00", 2) == [
        "2024-11-03 05:30",
        "2024-11-04 06:30",
    ]


def test_hours_written_out_are_times_of_the_clock_and_a_star_is_the_passing_of_time() -> None:
    """`0-23` has one 01:30 on that day, `*` has both, an hour apart."""
    written_out = firsts(cron("30 0-23 * * *", "America/New_York"), "2024-11-03 05:00")
    wild = firsts(cron("30 * * * *", "America/New_York"), "2024-11-03 05:00")
    assert written_out == ["2024-11-03 05:30", "2024-11-03 07:30", "2024-11-03 08:30"]
    assert wild == ["2024-11-03 05:30", "2024-11-03 06:30", "2024-11-03 07:30"]


def test_wild_hours_skip_what_the_clock_skips() -> None:
    """Every second hour has no 02:00 on the day in spring, and nothing in its place; every hour goes on."""
    assert firsts(cron("0 */2 * * *", "America/New_York"), "2024-03-10 04:00", 3) == [
        "2024-03-10 05:00",
        "2024-03-10 08:00",
        "2024-03-10 10:00",
    ]
    assert firsts(cron("@hourly", "America/New_York"), "2024-03-10 06:00", 2) == [
        "2024-03-10 06:00",
        "2024-03-10 07:00",
    ]


def test_half_an_hour_is_a_shift_too() -> None:
    """Lord Howe: 02:00 to 02:30 at 15:30 UTC of 5 October 2024, 02:00 to 01:30 at 15:00 UTC of 5 April 2025."""
    zone = "Australia/Lord_Howe"
    assert firsts(cron("15 2 * * *", zone), "2024-10-05 00:00", 2) == ["2024-10-05 15:30", "2024-10-06 15:15"]
    assert firsts(cron("45 1 * * *", zone), "2025-04-05 00:00", 2) == ["2025-04-05 14:45", "2025-04-06 15:15"]
    assert firsts(cron("45 * * * *", zone), "2025-04-05 14:00") == [
        "2025-04-05 14:45",
        "2025-04-05 15:15",
        "2025-04-05 16:15",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),
        ("America/Asuncion", "2023-10-01", "2023-10-01 04:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25 22:00"),
        ("Asia/Beirut", "2024-03-31", "2024-03-30 22:00"),
    ],
)
def test_a_day_that_begins_at_one_o_clock_begins_all_the_same(zone: str, day: str, instant: str) -> None:
    """In these zones it is midnight that is skipped."""
    [first, second] = firsts(cron(f"0 0 {day[8:]} {day[5:7]} *", zone), day[:5] + "01-01", 2)
    assert first == instant
    assert second[:4] > day[:4]


def test_midnight_is_once_where_the_clock_goes_back_to_the_day_before() -> None:
    """Sao Paulo on 18 February 2018: 23:00 to 24:00 of the 17th comes twice, midnight only after that."""
    zone = "America/Sao_Paulo"
    assert firsts(cron("0 0 * * *", zone), "2018-02-17 12:00", 2) == ["2018-02-18 03:00", "2018-02-19 03:00"]
    assert firsts(cron("30 23 17 2 *", zone), "2018-01-01", 2) == ["2018-02-18 01:30", "2019-02-18 02:30"]
    assert firsts(cron("30 * 17 2 *", zone), "2018-02-18 01:00", 3) == [
        "2018-02-18 01:30",
        "2018-02-18 02:30",
        "2019-02-17 03:30",
    ]


def test_midnight_that_comes_twice_is_the_first() -> None:
    """In Newfoundland of 2010 the clock went back at 00:01, from one day into the other, at 02:31 UTC."""
    zone = "America/St_Johns"
    assert firsts(cron("0 0 * * *", zone), "2010-11-07 00:00", 2) == ["2010-11-07 02:30", "2010-11-08 03:30"]
    assert firsts(cron("0 * * * *", zone), "2010-11-07 02:30", 2) == ["2010-11-07 02:30", "2010-11-07 03:30"]


def test_a_day_that_never_was_counts_for_times_of_the_clock_only() -> None:
    """Samoa had no 30 December 2011; its 31st began at 10:00 UTC of the 30th."""
    zone = "Pacific/Apia"
    assert firsts(cron("0 9 * * *", zone), "2011-12-29 00:00", 3) == [
        "2011-12-29 19:00",
        "2011-12-30 10:00",
        "2011-12-30 19:00",
    ]
    assert firsts(cron("0 0 * * *", zone), "2011-12-29 00:00", 3) == [
        "2011-12-29 10:00",
        "2011-12-30 10:00",
        "2011-12-31 10:00",
    ]
    assert firsts(cron("0 9 30 12 *", zone), "2011-01-01", 2) == ["2011-12-30 10:00", "2012-12-29 19:00"]
    assert firsts(cron("0 * 30 12 *", zone), "2011-01-01", 2) == ["2012-12-29 10:00", "2012-12-29 11:00"]


def test_a_zone_may_change_for_other_reasons_than_summer() -> None:
    """Pyongyang went back by half an hour at midnight of 15 August 2015, and forward in May 2018."""
    zone = "Asia/Pyongyang"
    assert firsts(cron("45 23 * * *", zone), "2015-08-14 12:00", 2) == ["2015-08-14 14:45", "2015-08-15 15:15"]
    assert firsts(cron("45 * * * *", zone), "2015-08-14 14:00", 3) == [
        "2015-08-14 14:45",
        "2015-08-14 15:15",
        "2015-08-14 16:15",
    ]
    assert firsts(cron("45 23 4 5 *", zone), "2018-01-01", 1) == ["2018-05-04 15:00"]
