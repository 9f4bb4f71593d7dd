"""Times that follow an exchange's sessions: its opens and closes, and any series on the days that have one."""

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from shared.domain.timing import SessionEvent, SessionMoment
from shared.schedules.calendars import ONE_DAY, TradingCalendar
from shared.schedules.instants import TICK, Series
from shared.schedules.intervals import whole_milliseconds
from shared.schedules.refusals import Refusal
from shared.schedules.zones import first_instant

FARTHEST = timedelta(days=1)
"""How far from a session's open or close a time may be."""

PATIENCE = timedelta(days=29 * 366)
"""A series that has met no day with a session for so long is given up: 28 years have every kind of year."""


class SessionTimes:
    """The open or close of each session, half days included, and so much later (or earlier)."""

    def __init__(self, calendar: TradingCalendar, event: SessionEvent, offset: timedelta) -> None:
        self._calendar = calendar
        self._event = event
        self._offset = offset

    @classmethod
    def of(cls, calendar: TradingCalendar, moment: SessionMoment) -> "SessionTimes":
        """Return the times of a moment of each session. Raises Refusal for an offset that is too far or too fine."""
        seconds = moment.offset_seconds
        if not math.isfinite(seconds) or abs(seconds) > FARTHEST.total_seconds():
            raise Refusal(
                f"an offset of {seconds!r} seconds is out of range: write -86400 to 86400, such as -300 for five "
                "minutes before"
            )
        return cls(calendar, moment.event, whole_milliseconds(seconds))

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, as far as the calendar goes."""
        target = (moment - self._offset).astimezone(self._calendar.zone).date()
        last = moment
        # A futures exchange opens on the day before the session's date.
        for session in self._calendar.sessions_from(target - 2 * ONE_DAY):
            instant = (session.opens_at if self._event is SessionEvent.OPEN else session.closes_at) + self._offset
            if instant > last:
                yield instant
                last = instant


class OnSessionDays:
    """Those of a series that are on a date, in the exchange's own zone, that has a session."""

    def __init__(self, series: Series, calendar: TradingCalendar) -> None:
        self._series = series
        self._calendar = calendar

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`; closed days are jumped over."""
        last = until = max(moment, self._midnight(self._calendar.first_day) - TICK)
        times = self._series.later_than(last)
        instant = next(times, None)
        while instant is not None and instant - last < PATIENCE:
            if instant >= until:
                day = instant.astimezone(self._calendar.zone).date()
                open_day = self._calendar.next_day(day)
                if open_day is None:
                    return
                if open_day > day:
                    times = self._series.later_than(max(instant, self._midnight(open_day) - TICK))
                    instant = next(times, None)
                    continue
                until = self._midnight(day + ONE_DAY)
            yield instant
            last = instant
            instant = next(times, None)

    def _midnight(self, day: date) -> datetime:
        return first_instant(datetime.combine(day, time()), self._calendar.zone)
