"""What a cron text may say, and what is said of one that is wrong."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedules import timing_errors
from tests.unit.shared.schedules.timings import complaint, cron, firsts


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("*/20 * * * *", ["2024-01-01 00:00", "2024-01-01 00:20", "2024-01-01 00:40"]),
        ("10-30/10 0 * * *", ["2024-01-01 00:10", "2024-01-01 00:20", "2024-01-01 00:30"]),
        ("5,7-8 0 * * *", ["2024-01-01 00:05", "2024-01-01 00:07", "2024-01-01 00:08"]),
        ("0 9 * feb,APR mon", ["2024-02-05 09:00", "2024-02-12 09:00", "2024-02-19 09:00"]),
        ("0 9 * * Fri-sat", ["2024-01-05 09:00", "2024-01-06 09:00", "2024-01-12 09:00"]),
        ("0 9 * * 0", ["2024-01-07 09:00", "2024-01-14 09:00", "2024-01-21 09:00"]),
        ("0 9 * * 7", ["2024-01-07 09:00", "2024-01-14 09:00", "2024-01-21 09:00"]),
        ("0 9 * * 5-7/2", ["2024-01-05 09:00", "2024-01-07 09:00", "2024-01-12 09:00"]),
        ("5-5/15 * * * *", ["2024-01-01 00:05", "2024-01-01 01:05", "2024-01-01 02:05"]),
        ("\t07  09 * *\t* ", ["2024-01-01 09:07", "2024-01-02 09:07", "2024-01-03 09:07"]),
        ("0 0 29 2 *", ["2024-02-29 00:00", "2028-02-29 00:00", "2032-02-29 00:00"]),
    ],
)
def test_lists_ranges_steps_and_names_are_read_as_vixie_cron_does(text: str, times: list[str]) -> None:
    """From 2024 on, a year that begins on a Monday."""
    assert firsts(cron(text), "2024-01-01") == times


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0 0 13 * fri", ["2024-01-05 00:00", "2024-01-12 00:00", "2024-01-13 00:00"]),
        ("0 0 13 * *", ["2024-01-13 00:00", "2024-02-13 00:00", "2024-03-13 00:00"]),
        ("0 0 */2 * fri", ["2024-01-05 00:00", "2024-01-19 00:00", "2024-02-09 00:00"]),
        ("0 0 13 * */5", ["2024-09-13 00:00", "2024-10-13 00:00", "2024-12-13 00:00"]),
        ("0 0 1 * 0-7", ["2024-01-01 00:00", "2024-01-02 00:00", "2024-01-03 00:00"]),
    ],
)
def test_a_day_matches_either_of_two_restricted_fields_and_both_where_one_begins_with_a_star(
    text: str, times: list[str]
) -> None:
    """Vixie cron looks at the first character only: `*/2` is no restriction, `0-7` is one."""
    assert firsts(cron(text), "2024-01-01") == times


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("@yearly", ["2024-01-01 00:00", "2025-01-01 00:00"]),
        ("@Annually", ["2024-01-01 00:00", "2025-01-01 00:00"]),
        ("@monthly", ["2024-01-01 00:00", "2024-02-01 00:00"]),
        ("@weekly", ["2024-01-07 00:00", "2024-01-14 00:00"]),
        ("@daily", ["2024-01-01 00:00", "2024-01-02 00:00"]),
        (" @midnight ", ["2024-01-01 00:00", "2024-01-02 00:00"]),
        ("@hourly", ["2024-01-01 00:00", "2024-01-01 01:00"]),
    ],
)
def test_names_for_whole_texts_are_known(text: str, times: list[str]) -> None:
    """In any case."""
    assert firsts(cron(text), "2024-01-01", 2) == times


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0 0 L * *", ["2024-01-31 00:00", "2024-02-29 00:00"]),
        ("0 0 l,15 * *", ["2024-01-15 00:00", "2024-01-31 00:00"]),
        ("0 0 LW 6 *", ["2024-06-28 00:00", "2025-06-30 00:00"]),
        ("0 0 * * fri#3", ["2024-01-19 00:00", "2024-02-16 00:00"]),
        ("0 0 * * friL", ["2024-01-26 00:00", "2024-02-23 00:00"]),
        ("0 0 * 2 mon#5", ["2044-02-29 00:00", "2072-02-29 00:00"]),
    ],
)
def test_last_days_and_third_fridays_are_known_beyond_vixie_cron(text: str, times: list[str]) -> None:
    """Trading has need of them."""
    assert firsts(cron(text), "2024-01-01", 2) == times


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 25 * * *", "0 25 * * *: hour 25 is past 23; write 0 to 23, such as 0 9 * * mon-fri"),
        ("0 0 0 * *", "0 0 0 * *: day-of-month 0 is below 1; write 1 to 31, such as 0 9 * * mon-fri"),
        ("0 0 * 13 *", "month 13 is past 12; write 1 to 12 or jan to dec, such as"),
        ("0 0 * * 8", "day-of-week 8 is past 7; write 0 to 7 or sun to sat, such as"),
        ("0 0 * * mnoday", "day-of-week mnoday is not known; write 0 to 7 or sun to sat, such as"),
        (
            "0 0 * * Monday",
            "day-of-week monday is not known; write 0 to 7 or sun to sat, such as 0 9 * * mon-fri. Did you",
        ),
        ("0 0 * jen *", "Did you mean jun or jan?"),
        ("x * * * *", "minute x is not known; write 0 to 59, such as 0 9 * * mon-fri"),
        ("mon * * * *", "minute mon is not known; write 0 to 59"),
        ("50-10 * * * *", "minute 50-10 runs backwards; write 10-50, or 50-59,0-10 for both ends"),
        ("10-9 * * * *", "minute 10-9 runs backwards; write 9-10, or 10-59,0-9 for both ends"),
        ("0 0 * * fri-sun", "day-of-week fri-sun runs backwards; write Sunday as 7 at the end of a range, as 5-7"),
        ("-5 * * * *", "minute -5 needs a value on both sides of the -, such as 0-59"),
        ("5- * * * *", "minute 5- needs a value on both sides of the -, such as 0-59"),
        ("1-2-3 * * * *", "minute 2-3 is not known"),
        ("*/0 * * * *", "minute */0 has a step of 0; write 1 to 60, as */5"),
        (
            "*/90 * * * *",
            "minute */90 has a step of 90; write 1 to 60, as */5; for intervals of any length use every_seconds",
        ),
        ("*/ * * * *", "minute */ needs a whole number after the /, such as */5"),
        ("*/2/3 * * * *", "minute */2/3 needs a whole number after the /, such as */5"),
        ("5/15 * * * *", "minute 5/15 steps from a single value; write a range, such as 5-59/15, or */5"),
        ("1,,5 * * * *", "minute 1,,5 has an empty item; write 1,5, without a comma too many"),
        (", * * * *", "minute , has an empty item; write *, without a comma too many"),
        ("0 0 * * fri#6", "day-of-week fri#6 needs 1 to 5 after the #, such as fri#3 for the third Friday"),
        ("0 0 15W * *", "day-of-month 15w is not known; write 1 to 31"),
        ("0 0 * * L", "day-of-week l is not known"),
        ("** * * * *", "minute ** is not known"),
        ("0 0 ? * *", "0 0 ? * *: ? is not known here: write *, such as 0 9 * * mon-fri"),
        (
            "0 9 * *",
            "0 9 * *: 4 fields, 5 are needed: minute hour day-of-month month day-of-week; such as 0 9 * * mon-fri",
        ),
        ("daily", "daily: 1 field, 5 are needed"),
        (
            "0 0 9 * * *",
            "6 fields, 5 are needed: minute hour day-of-month month day-of-week; for times finer than a minute",
        ),
        ("0 0 9 * * * 2026", "years are not known here"),
        ("@reboot", "@reboot: nothing is rebooted here: write when it is to run, such as @daily"),
        ("@every 5m", "@every 5m: intervals are not written as cron texts: use every_seconds, such as 300"),
        ("@dayly", "@dayly is not known. Did you mean @daily?"),
        ("@", "@ is not known. Use one of @yearly, @annually,"),
    ],
)
def test_each_mistake_has_a_sentence_of_its_own(text: str, message: str) -> None:
    """It says what is wrong, and what would be right."""
    field, said = complaint(cron(text))
    assert field == "when.cron"
    assert message in said


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4 *", "0 0 31 feb,apr,jun,sep,nov *", "0 0 */31 2 mon#5"])
def test_a_day_that_no_year_has_is_refused(text: str) -> None:
    """Such a schedule would wait for ever."""
    field, message = complaint(cron(text))
    assert field == "when.cron"
    assert message.startswith(f"{text}: there is no such day in any year, so it would never fire; write a day that")


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 29 2 */7", "0 0 30 2 mon", "0 0 31 4,5 *"])
def test_a_rare_day_is_none_that_never_comes(text: str) -> None:
    """29 February on a Sunday comes once in 28 years."""
    assert timing_errors(cron(text)) == []


HOSTILE = [
    "",
    " \t ",
    "\0",
    "\0 * * * *",
    "0 0 * *\n*",
    "0 0 * * *\n",
    "\r\n",
    "\N{ARABIC-INDIC DIGIT FIVE} * * * *",
    "\N{SUPERSCRIPT TWO} * * * *",
    "\N{FULLWIDTH DIGIT FIVE} * * * *",
    "*/\N{CIRCLED DIGIT TWO} * * * *",
    "0\N{NO-BREAK SPACE}0 * * *",
    "0 0 * * \N{LATIN SMALL LETTER DOTLESS I}",
    "0 0 * * \N{RIGHT-TO-LEFT OVERRIDE}nom",
    "\ud800 * * * *",
    "9" * 10**6,
    "9" * 150 + " * * * *",
    "*/" + "9" * 150 + " * * * *",
    "0-" + "9" * 150 + " * * * *",
    "0 0 * * mon#" + "1" * 100,
    "* " * 10**6,
    "," * 190 + " * * * *",
    "-" * 190 + " * * * *",
    "/" * 190 + " * * * *",
    "@" * 200,
    "*" * 200,
    "%s%n{}{0}\\ * * * *",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    """With a short sentence that can be printed; the time is far above what it takes."""
    began = time.monotonic()
    field, message = complaint(cron(text))
    assert time.monotonic() - began < 1
    assert field == "when.cron"
    assert len(message) < 800
    assert message.isprintable()


@given(st.one_of(st.text(max_size=30), st.text("0123456789*,-/#@ lLwWmonfrijan", max_size=30)))
def test_no_text_at_all_raises_anything_else(text: str) -> None:
    """Each is understood, or refused with one error."""
    assert len(timing_errors(cron(text))) <= 1


def test_a_text_of_two_hundred_characters_is_the_longest() -> None:
    """A list of 59 minutes has less."""
    longest = ",".join(map(str, range(60))) + " * * * *"
    assert timing_errors(cron(longest.ljust(200))) == []
    assert complaint(cron(longest.ljust(201)))[1].startswith("a cron text of 201 characters is too long: write at most")
