"""The times of a cron text in a time zone, across the days on which its clock is set forward or back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.schedules.cron_text import CronText, read
from shared.schedules.instants import LATEST
from shared.schedules.refusals import Refusal
from shared.schedules.zones import first_instant, shifts

ANY_YEAR = datetime(2020, 1, 1)  # noqa: DTZ001
"""From here on 28 years have each kind of year (leap or not, by the weekday it begins with): what none of them has,
no year has; `CronSim` looks 50 years ahead."""


class CronTimes:
    """The instants that a cron text means.

    With fixed hours it means times of the clock: each matching local time once. One that the clock skips comes at the
    end of the gap, several such at once; one that it shows twice comes the first time. With wild hours (`*`, `*/2`) it
    means the passing of time: each instant at which the clock shows a matching time, so both of one shown twice, and
    none that is skipped.
    """

    def __init__(self, cron: CronText, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> "CronTimes":
        """Return the times of a cron text. Raises Refusal for one that is wrong, or that no day ever matches."""
        cron = read(text)
        if next(local_times(cron, ANY_YEAR), None) is None:
            raise Refusal(
                f"{cron.text}: there is no such day in any year, so it would never fire; "
                "write a day that the month has, such as 0 9 28 2 *, or L for its last one"
            )
        return cls(cron, zone)

    def later_than(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`; none when there is none in 50 years."""
        return self._by_instant(moment) if self._cron.every_hour else self._by_clock(moment)

    def _by_clock(self, moment: datetime) -> Iterator[datetime]:
        last = moment
        for local in local_times(self._cron, moment.astimezone(self._zone)):
            instant = first_instant(local, self._zone)
            if instant > LATEST:
                return
            if instant > last:
                yield instant
                last = instant

    def _by_instant(self, moment: datetime) -> Iterator[datetime]:
        """Go from one setting of the clock to the next: between two of them it is ahead of UTC by a fixed amount."""
        start, found = moment, moment
        while start <= LATEST:
            new_year = datetime(start.year + 1, 1, 1, tzinfo=UTC)
            end = next((shift for shift in shifts(self._zone, start.year) if shift > start), new_year)
            ahead = start.astimezone(self._zone).utcoffset() or timedelta(0)
            # At a shift its own instant counts too; what was found already is left out below.
            since = (start + ahead).replace(tzinfo=None) - timedelta(seconds=1)
            for local in local_times(self._cron, since):
                instant = (local - ahead).replace(tzinfo=UTC)
                if instant >= end:
                    break
                if instant > found:
                    yield instant
                    found = instant
            else:
                return
            start = end


def local_times(cron: CronText, local: datetime) -> Iterator[datetime]:
    """Yield the naive times after `local` that match, on a clock that is never set; none when 50 years have none."""
    try:
        yield from CronSim(cron.fields, local.replace(tzinfo=None))
    except CronSimError:  # the text is right, so that it says: no month has such a day
        return
