"""The nominal times of a schedule, put together from its timing, and all that can be wrong with that."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from shared.domain.errors import FieldError, InvalidInput
from shared.domain.timing import Timing, When
from shared.schedules.calendars import TradingCalendar, calendar_of
from shared.schedules.cron import ANY_YEAR, CronTimes
from shared.schedules.instants import EARLIEST, EPOCH, LATEST, TICK, OneTime, Series
from shared.schedules.intervals import Interval
from shared.schedules.refusals import Refusal
from shared.schedules.sessions import PATIENCE, OnSessionDays, SessionTimes
from shared.schedules.zones import zone_of

P = ParamSpec("P")
T = TypeVar("T")

KINDS = ("at", "cron", "every_seconds", "session")

EXAMPLE = '{"cron": "0 9 * * mon-fri"}'


class Times:
    """The nominal times of one schedule: instants in UTC, strictly increasing, from 1900 to 2199."""

    def __init__(self, series: Series, start_at: datetime | None = None, end_at: datetime | None = None) -> None:
        self._series = series
        self._first = EARLIEST if start_at is None else start_at.astimezone(UTC)
        self._last = LATEST if end_at is None else end_at.astimezone(UTC)

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after the aware `moment`, None when there is none any more.

        With a trading calendar the times end where its sessions are no longer known, and a schedule that has met no
        session for `PATIENCE` is taken to meet none.
        """
        return next(self._later_than(moment), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the times from the aware `start` to the aware `end`, both included, lazily."""
        for instant in self._later_than(max(start, EARLIEST) - TICK):
            if instant > end:
                return
            yield instant

    def _later_than(self, moment: datetime) -> Iterator[datetime]:
        since = max(moment, self._first - TICK)
        if since >= self._last:
            return
        for instant in self._series.later_than(since.astimezone(UTC)):
            if instant > self._last:
                return
            yield instant


@lru_cache(maxsize=4096)
def times_of(timing: Timing) -> Times:
    """Return the times of a schedule. Raises InvalidInput, whose `errors` name each field, for an impossible timing."""
    errors: list[FieldError] = []
    times = _Builder(timing, errors).build()
    if times is None or errors:
        raise InvalidInput("Correct the fields named in errors: the schedule would never fire as it is.", errors)
    return times


def timing_errors(timing: Timing) -> list[FieldError]:
    """Return all that is wrong with a timing, field by field; an empty list when it fires at some time or other.

    Whether it still fires depends on what time it is: ask `Times.after`.
    """
    try:
        times_of(timing)
    except InvalidInput as error:
        return list(error.errors)
    return []


def known_until(timing: Timing) -> date | None:
    """Return the last day that the timing's calendar knows of, None without a calendar.

    Some exchanges publish a year at a time: what lies beyond comes with a newer version of the library. Raises Refusal
    for a calendar that there is not.
    """
    return None if timing.calendar is None else calendar_of(timing.calendar).last_day


class _Builder:
    """Puts the times of one timing together, and gathers what is wrong with it."""

    def __init__(self, timing: Timing, errors: list[FieldError]) -> None:
        self._timing = timing
        self._errors = errors

    def build(self) -> Times | None:
        """Return the times, or None after an error was noted."""
        timing = self._timing
        zone = self._try("timezone", zone_of, timing.timezone)
        calendar = None if timing.calendar is None else self._try("calendar", calendar_of, timing.calendar)
        self._check_bounds()
        kind = self._try("when", kind_of, timing.when)
        series = None if kind is None else self._series(kind, zone, calendar)
        if self._errors or kind is None or series is None:
            return None
        if calendar is not None and kind in {"cron", "every_seconds"}:
            series = OnSessionDays(series, calendar)
        times = Times(series, timing.start_at, timing.end_at)
        self._try(f"when.{kind}", check_possible, timing, series, calendar)
        if not self._errors:
            self._check_window(times, calendar)
        return times

    def _series(self, kind: str, zone: ZoneInfo | None, calendar: TradingCalendar | None) -> Series | None:
        when, field = self._timing.when, f"when.{kind}"
        if when.at is not None:
            return OneTime(when.at) if self._check_aware(field, when.at) else None
        if when.cron is not None:
            return self._try(field, CronTimes.of, when.cron, zone or ZoneInfo("UTC"))
        if when.every_seconds is not None:
            start_at = self._timing.start_at
            is_sound = all(error.field != "start_at" for error in self._errors)
            anchor = start_at if start_at is not None and is_sound else EPOCH
            return self._try(field, Interval.of, when.every_seconds, anchor)
        if when.session is None:
            return None
        if calendar is not None:
            return self._try(field, SessionTimes.of, calendar, when.session)
        if self._timing.calendar is None:
            self._note("calendar", "is needed with when.session: write the code of an exchange, such as XNYS")
        return None

    def _check_bounds(self) -> None:
        start, end = self._timing.start_at, self._timing.end_at
        good = [
            moment is None or self._check_aware(name, moment) for name, moment in (("start_at", start), ("end_at", end))
        ]
        if all(good) and start is not None and end is not None and end <= start:
            later = (start + timedelta(days=30)).isoformat()
            self._note("end_at", f"must be after start_at: write a later time, such as {later}")

    def _check_aware(self, field: str, moment: datetime) -> bool:
        if moment.utcoffset() is None:
            self._note(field, "has no UTC offset: write one, such as 2026-03-02T09:30:00-05:00 or 2026-03-02T14:30:00Z")
        elif not EARLIEST <= moment <= LATEST:
            self._note(field, "is out of range: write a time from 1900 to 2199, such as 2026-03-02T14:30:00Z")
        else:
            return True
        return False

    def _check_window(self, times: Times, calendar: TradingCalendar | None) -> None:
        """Note that there is no time from `start_at` to `end_at`. Without a start one may have been long ago."""
        start, end = self._timing.start_at, self._timing.end_at
        if self._timing.when.at is not None:
            if times.after(EARLIEST - TICK) is None:
                self._note("when.at", "must be from start_at to end_at: move it, or leave those out")
        elif start is not None and times.after(EARLIEST - TICK) is None:
            if calendar is not None and calendar.last_day < (end or LATEST).date():
                known = f"the sessions of {calendar.code} are known until {calendar.last_day} only"
                self._note("calendar", f"{known}, which leaves no time after start_at: write an earlier start_at")
            elif end is not None:
                self._note("end_at", "leaves no time of the schedule after start_at: write a later one, or none")
            else:
                self._note("start_at", f"leaves no time of the schedule until {LATEST.year}: write an earlier one")

    def _note(self, field: str, message: str) -> None:
        self._errors.append(FieldError(field, message))

    def _try(self, field: str, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return make(*args, **kwargs)
        except Refusal as refusal:
            self._note(field, refusal.message)
            return None


def kind_of(when: When) -> str:
    """Return which of `KINDS` is given. Raises Refusal unless it is exactly one."""
    given = [kind for kind in KINDS if getattr(when, kind) is not None]
    if len(given) == 1:
        return given[0]
    if given:
        raise Refusal(f"has {' and '.join(given)}: keep exactly one of {', '.join(KINDS)}, such as {EXAMPLE}")
    raise Refusal(f"is empty: write exactly one of {', '.join(KINDS)}, such as {EXAMPLE}")


def check_possible(timing: Timing, series: Series, calendar: TradingCalendar | None) -> None:
    """Raise Refusal for a timing that no day with a session ever meets."""
    if calendar is None:
        return
    if timing.when.at is not None:
        _check_open(timing.when.at, calendar)
    elif next(series.later_than(ANY_YEAR.replace(tzinfo=UTC)), None) is None:
        raise Refusal(
            f"never meets a day on which {calendar.code} has a session, in {PATIENCE.days // 365} years: "
            "write days of trade, such as 0 9 * * mon-fri, or leave the calendar out"
        )


def _check_open(at: datetime, calendar: TradingCalendar) -> None:
    day: date = at.astimezone(calendar.zone).date()
    open_day = calendar.next_day(day)
    if open_day is None:
        raise Refusal(f"the sessions of {calendar.code} are known until {calendar.last_day} only: write an earlier day")
    if open_day != day:
        raise Refusal(f"{day} has no session of {calendar.code}: the next day that has one is {open_day}")
