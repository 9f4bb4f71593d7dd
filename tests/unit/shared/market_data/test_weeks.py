"""Weekly bars: what goes into one, and which are complete."""

from datetime import date

import polars as pl
import pytest

from shared.market_data.files import FileMarketData
from shared.market_data.weeks import WEEK_SCHEMA, weekly
from shared.testing import bars

MONDAY = date(2024, 1, 8)


def test_a_week_is_its_first_open_its_extremes_its_last_close_and_all_its_volume() -> None:
    """Five days, of which none but the first opens the week and none but the last closes it."""
    days = bars([10, 14, 8, 9, 11], first=MONDAY, volume=100)
    days = days.with_columns(high=days["high"] + 1, low=days["low"] - 2)
    [week] = weekly(days).rows(named=True)
    assert week == {
        "date": date(2024, 1, 12),
        "open": 10,
        "high": 15,
        "low": 6,
        "close": 11,
        "volume": 500,
        "complete": True,
    }


def test_a_week_that_is_not_over_is_marked() -> None:
    """Its close is not the week's close yet."""
    weeks = weekly(bars(range(1, 9), first=MONDAY))
    assert weeks.select("date", "close", "complete").rows() == [
        (date(2024, 1, 12), 5, True),
        (date(2024, 1, 17), 8, False),
    ]


@pytest.mark.parametrize(("until", "complete"), [(date(2024, 3, 28), False), (date(2024, 3, 29), True), (None, False)])
def test_a_week_without_a_friday_is_complete_on_its_friday(until: date | None, complete: bool) -> None:
    """Good Friday of 2024: the exchange is closed, and on that day the last bar is Thursday's."""
    assert weekly(bars([1, 2, 3, 4], first=date(2024, 3, 25)), until)["complete"].to_list() == [complete]


def test_a_history_that_begins_within_a_week_begins_with_the_next() -> None:
    """A bar of three days would pass for a week."""
    weeks = weekly(bars(range(1, 9), first=date(2024, 1, 10)))
    assert weeks["date"].to_list() == [date(2024, 1, 19)]


def test_nothing_is_lost_between_days_and_weeks() -> None:
    """Over a shipped history: as many weeks as ISO weeks, all volume, and weeks across a new year are one."""
    days = FileMarketData().daily("IBM", bars=100_000).filter(pl.col("date") >= date(2000, 3, 6))
    weeks = weekly(days)
    assert weeks.schema == WEEK_SCHEMA
    assert weeks["date"].to_list() == sorted({day.isocalendar()[:2]: day for day in days["date"]}.values())
    assert (weeks["volume"].sum(), weeks["high"].max(), weeks["low"].min()) == (
        days["volume"].sum(),
        days["high"].max(),
        days["low"].min(),
    )


def test_no_bars_are_no_weeks() -> None:
    """An empty history raises nothing."""
    assert weekly(bars([])[:0]).schema == WEEK_SCHEMA
