"""Times for people: in UTC, and beside it as the clocks of a time zone show them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from infra.cli.output import moment

_CLOCK = "%Y-%m-%d %H:%M:%S"


def utc(text: str | None) -> str:
    """A time of the interface, which is in UTC, to the second; without a time nothing."""
    found = moment(text)
    return "" if found is None else f"{found:{_CLOCK}}"


def local(text: str, timezone: str) -> str:
    """A time that bears the zone's own offset, with its weekday and the zone's abbreviation."""
    here = datetime.fromisoformat(text)
    return f"{here:%a {_CLOCK}} {_abbreviation(here, timezone)}"


def beside(text: str, timezone: str) -> str:
    """A time of the interface in UTC and, if the zone is another one and known here, as its clocks show it."""
    found = datetime.fromisoformat(text)
    there = _moved(found, timezone)
    clocks = "" if there is None or timezone == "UTC" else f" ({there:%a {_CLOCK}} {there.tzname()})"
    return f"{found:{_CLOCK}} UTC{clocks}"


def _abbreviation(here: datetime, timezone: str) -> str:
    """The zone's word, unless this machine's table of zones is another than the gateway's: then the offset."""
    there = _moved(here, timezone)
    known = there is not None and there.utcoffset() == here.utcoffset()
    return str(there.tzname() if there is not None and known else here.tzname())


def _moved(found: datetime, timezone: str) -> datetime | None:
    """None where this machine knows no such zone, or at the end of the calendar."""
    try:
        return found.astimezone(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError, OverflowError):
        return None
