"""What cron texts mean, by enumeration: an independent reading to compare with, slow and plain.

A text is drawn together with the numbers that each of its fields stands for, so that nothing here reads texts.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


Shown = tuple[datetime, datetime]
"""An instant in UTC and what a zone's clock shows then."""


class Drawn(NamedTuple):
    """A field's text and its numbers."""

    text: str
    numbers: frozenset[int]


class DrawnCron(NamedTuple):
    """Five fields."""

    minute: Drawn
    hour: Drawn
    day: Drawn
    month: Drawn
    weekday: Drawn

    @property
    def text(self) -> str:
        """Return the text of all five."""
        return " ".join(field.text for field in self)

    def has_day(self, day: date) -> bool:
        """Return whether the three fields of days match, by Vixie cron's rule of either and both."""
        weekdays = {number % 7 for number in self.weekday.numbers}
        of_month, of_week = day.day in self.day.numbers, day.isoweekday() % 7 in weekdays
        both = self.day.text.startswith("*") or self.weekday.text.startswith("*")
        return day.month in self.month.numbers and (of_month and of_week if both else of_month or of_week)


@st.composite
def items(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...], first: int, shortest: int) -> Drawn:
    """Draw one of the things that stand between commas; `names` are those of the numbers from `first` on."""

    def spelled(number: int) -> str:
        if 0 <= number - first < len(names) and draw(st.booleans()):
            return draw(st.sampled_from([str.lower, str.upper, str.title]))(names[number - first])
        return str(number)

    start = draw(st.integers(low, high - shortest))
    end = draw(st.integers(start + shortest, high))
    step = draw(st.integers(1, high - low))
    match draw(st.integers(0, 5)):
        case 0:
            return Drawn("*", frozenset(range(low, high + 1)))
        case 1:
            return Drawn(f"*/{step}", frozenset(range(low, high + 1, step)))
        case 2:
            return Drawn(f"{spelled(start)}-{spelled(end)}", frozenset(range(start, end + 1)))
        case 3:
            return Drawn(f"{spelled(start)}-{spelled(end)}/{step}", frozenset(range(start, end + 1, step)))
        case _:
            return Drawn(spelled(start), frozenset({start}))


@st.composite
def fields(
    draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = (), first: int = 0, shortest: int = 0
) -> Drawn:
    """Draw a field of up to three items; its ranges go over more than `shortest` values."""
    parts = draw(st.lists(items(low, high, names, first, shortest), min_size=1, max_size=3))
    numbers = frozenset[int]().union(*(part.numbers for part in parts))
    return Drawn(",".join(part.text for part in parts), numbers)


ANY_DAY = Drawn("*", frozenset(range(1, 32)))
ANY_MONTH = Drawn("*", frozenset(range(1, 13)))
ANY_WEEKDAY = Drawn("*", frozenset(range(8)))


def crons(minutes: st.SearchStrategy[Drawn] | None = None, shortest: int = 0) -> st.SearchStrategy[DrawnCron]:
    """Draw a text of the full syntax."""
    return st.builds(
        DrawnCron,
        fields(0, 59, shortest=shortest) if minutes is None else minutes,
        fields(0, 23, shortest=shortest),
        st.one_of(st.just(ANY_DAY), fields(1, 31, shortest=shortest)),
        fields(1, 12, MONTHS, 1, shortest),
        st.one_of(st.just(ANY_WEEKDAY), fields(0, 7, DAYS, 0, shortest)),
    )


class Clock:
    """All that a zone's clock shows from one instant on, at whole steps of UTC."""

    def __init__(self, zone: str, start: datetime, end: datetime, step: timedelta) -> None:
        zoneinfo = ZoneInfo(zone)
        instants = [start + number * step for number in range((end - start) // step)]
        shown = [(each, each.astimezone(zoneinfo).replace(tzinfo=None)) for each in instants]
        self.start, self.end, self.step = start, instants[-1], step
        self._shown = by_day(shown)
        self._reached = by_day(self._first_reached(shown))
        self.shifts = [instant for (_, before), (instant, local) in pairwise(shown) if local - before != self.step]

    def _first_reached(self, shown: list[Shown]) -> Iterable[Shown]:
        """Yield each local time with the instant at which the clock shows it, or a later one, for the first time."""
        local = shown[0][1]
        for instant, now in shown:
            while local <= now:
                yield instant, local
                local += self.step

    def times(self, cron: DrawnCron) -> list[datetime]:
        """Return the instants that a text means: of the clock with fixed hours, of passing time with wild ones."""
        known = self._shown if cron.hour.text.startswith("*") else self._reached
        minutes, hours = cron.minute.numbers, cron.hour.numbers
        found = {
            instant
            for day, times in known.items()
            if cron.has_day(day)
            for instant, local in times
            if local.minute in minutes and local.hour in hours
        }
        return sorted(found)


def by_day(times: Iterable[Shown]) -> dict[date, list[Shown]]:
    """Return times of a clock by their local dates."""
    found: defaultdict[date, list[Shown]] = defaultdict(list)
    for each in times:
        found[each[1].date()].append(each)
    return found


@lru_cache(maxsize=1)
def decade(zone: str) -> Clock:
    """Return the clock of the years 2010 to 2019, by half hours: no zone had a finer shift then."""
    return Clock(zone, datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), timedelta(minutes=30))


@lru_cache(maxsize=1)
def days_of_shifts(zone: str) -> list[Clock]:
    """Return the clock by minutes, for a day and a half around each shift of that decade."""
    around = timedelta(hours=36)
    return [Clock(zone, each - around, each + around, timedelta(minutes=1)) for each in decade(zone).shifts]
