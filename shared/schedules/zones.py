"""Time zones: their names, and which instants a local time stands for."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from shared.schedules.refusals import Refusal, shown, suggestion

NO_PLACES = {"Factory", "localtime", "posixrules"}
"""Files that lie among the zones of some systems, and are none of IANA's places."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names that IANA's database has, as this system or the `tzdata` package carries it."""
    return frozenset(available_timezones() - NO_PLACES)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name. Raises Refusal for one that IANA does not have."""
    if name not in zone_names():  # also keeps a name from being read as a path
        hint = suggestion(name, zone_names()) or "Write an IANA name, such as America/New_York or UTC."
        raise Refusal(f"{shown(name) or 'An empty text'} is no time zone. {hint}")
    return ZoneInfo(name)


def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the zone's clock shows the naive `local`, or for the first time a later time.

    So a time that the clock skips is the instant after the gap, and one that it shows twice is the first of the two.
    """
    aware = local.replace(tzinfo=zone, fold=0)
    before, after = _offset(aware), _offset(aware.replace(fold=1))
    if before >= after:
        return (local - before).replace(tzinfo=UTC)
    low = (local - after).replace(tzinfo=UTC)

    def is_reached(seconds: int) -> bool:
        return (low + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None) >= local

    gap = range(int((after - before).total_seconds()))
    return low + timedelta(seconds=bisect_left(gap, True, key=is_reached))


@lru_cache(maxsize=4096)
def shifts(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """Return the instants of a UTC year at which the zone's clock is set forward or back.

    Found by comparing days: no zone of IANA's has two within one.
    """
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(367)]
    offsets = [_offset(day.astimezone(zone)) for day in days]
    found: list[datetime] = []
    for day, before, after in zip(days, offsets, offsets[1:], strict=False):
        if before != after:
            found.append(_first_change(day, before, zone))
    return tuple(instant for instant in found if instant.year == year)


def _first_change(day: datetime, before: timedelta, zone: ZoneInfo) -> datetime:
    def has_changed(seconds: int) -> bool:
        return _offset((day + timedelta(seconds=seconds)).astimezone(zone)) != before

    return day + timedelta(seconds=bisect_left(range(86_400), True, key=has_changed))


def _offset(aware: datetime) -> timedelta:
    return aware.utcoffset() or timedelta(0)
