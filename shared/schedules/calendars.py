"""Exchanges' sessions, as plain values. The library behind it brings pandas: it is imported when first asked only."""

import warnings
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from shared.schedules.instants import EARLIEST, EPOCH, LATEST
from shared.schedules.refusals import Refusal, shown, suggestion

SPAN_YEARS = 50
"""Years of sessions that are computed at once: the library takes as long for one as for fifty."""

PROBE = date(2020, 1, 1)
"""A day in the span that is needed first."""

ONE_DAY = timedelta(days=1)


class Session(NamedTuple):
    """One day of trade: its date as the exchange has it, and when trading opens and closes, in UTC."""

    day: date
    opens_at: datetime
    closes_at: datetime


class Span(NamedTuple):
    """Consecutive sessions, one a place: dates as ordinals, opens and closes in microseconds since 1970, UTC."""

    days: Sequence[int]
    opens: Sequence[int]
    closes: Sequence[int]

    def session(self, place: int) -> Session:
        """Return the session at a place."""
        opens, closes = timedelta(microseconds=self.opens[place]), timedelta(microseconds=self.closes[place])
        return Session(date.fromordinal(self.days[place]), EPOCH + opens, EPOCH + closes)


class TradingCalendar:
    """The sessions of an exchange from `first_day` to `last_day`: what the library vouches for, from 1900 to 2199.

    They are computed in spans of years, when first asked for, and the spans last used are kept.
    """

    def __init__(self, code: str, zone: ZoneInfo, first_day: date, last_day: date) -> None:
        self.code = code
        self.zone = zone
        self.first_day = first_day
        self.last_day = last_day

    def sessions_from(self, day: date) -> Iterator[Session]:
        """Yield the sessions on and after `day`, in order."""
        day = max(day, self.first_day)
        while day <= self.last_day:
            span = self._span(day.year)
            for place in range(bisect_left(span.days, day.toordinal()), len(span.days)):
                yield span.session(place)
            day = date(_first_year(day.year) + SPAN_YEARS, 1, 1)

    def next_day(self, day: date) -> date | None:
        """Return `day` if it has a session, or else the next day that has one; None when none is known."""
        session = next(self.sessions_from(day), None)
        return None if session is None else session.day

    def _span(self, year: int) -> Span:
        first = date(_first_year(year), 1, 1)
        last = date(first.year + SPAN_YEARS - 1, 12, 31)
        return span_of(self.code, max(first, self.first_day), min(last, self.last_day))


@lru_cache(maxsize=128)
def calendar_of(code: str) -> TradingCalendar:
    """Return the calendar of an exchange, by its code in `exchange_calendars` or an alias of it.

    Raises Refusal for an unknown code, and for a calendar that the library fails to compute.
    """
    library = import_module("exchange_calendars")
    known = library.get_calendar_names(include_aliases=True)
    if code not in known:
        hint = suggestion(code, known) or "Write the code of an exchange, such as XNYS, XLON or 24/7."
        raise Refusal(f"{shown(code) or 'An empty text'} is no trading calendar. {hint}")
    try:
        sample = _sample(code)
        first_day, last_day = _bounds(sample)
        calendar = TradingCalendar(library.resolve_alias(code), ZoneInfo(str(sample.tz)), first_day, last_day)
        next(calendar.sessions_from(PROBE), None)
    except Exception as error:
        raise Refusal(
            f"The installed exchange_calendars cannot compute the sessions of {code} "
            f"({type(error).__name__}): leave the calendar out, or use another one, such as XNYS."
        ) from error
    return calendar


@lru_cache(maxsize=128)
def span_of(code: str, first_day: date, last_day: date) -> Span:
    """Return the sessions of a calendar between two days, both included."""
    found = _computed(code, start=first_day, end=last_day)
    days = [day.toordinal() for day in found.schedule.index.date]
    return Span(array("q", days), _microseconds(found.opens_nanos), _microseconds(found.closes_nanos))


def _sample(code: str) -> Any:
    """Return a calendar to ask for its bounds; where it has none, with the span that is needed first."""
    first = _first_year(PROBE.year)
    try:
        return _computed(code, start=date(first, 1, 1), end=date(first + SPAN_YEARS - 1, 12, 31))
    except ValueError:  # it has bounds
        return _computed(code)


def _computed(code: str, **span: date) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # between the library and pandas, and no news to users
        return import_module("exchange_calendars").get_calendar(code, **span)


def _first_year(year: int) -> int:
    return year - year % SPAN_YEARS


def _bounds(calendar: Any) -> tuple[date, date]:
    first, last = calendar.bound_min(), calendar.bound_max()
    return (
        EARLIEST.date() if first is None else max(EARLIEST.date(), first.date()),
        LATEST.date() if last is None else min(LATEST.date(), last.date()),
    )


def _microseconds(nanoseconds: Any) -> Sequence[int]:
    return array("q", [each // 1000 for each in nanoseconds.tolist()])
