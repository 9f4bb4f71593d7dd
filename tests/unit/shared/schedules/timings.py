"""Timings in short, and their times."""

from datetime import UTC, datetime, timedelta
from itertools import islice

from shared.domain.timing import SessionEvent, SessionMoment, Timing, When
from shared.schedules import Times, times_of, timing_errors

TICK = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    """Return an instant such as `2024-03-10 07:00`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(text: str, timezone: str = "UTC", calendar: str | None = None) -> Timing:
    """Return the timing of a cron text."""
    return Timing(when=When(cron=text), timezone=timezone, calendar=calendar)


def every(seconds: float, start_at: datetime | None = None, calendar: str | None = None) -> Timing:
    """Return the timing of an interval."""
    return Timing(when=When(every_seconds=seconds), start_at=start_at, calendar=calendar)


def session(calendar: str | None, event: SessionEvent, offset_seconds: float = 0) -> Timing:
    """Return the timing of a moment of each session."""
    moment = SessionMoment(event=event, offset_seconds=offset_seconds)
    return Timing(when=When(session=moment), calendar=calendar)


def firsts(timing: Timing, since: str, count: int = 3) -> list[str]:
    """Return the first times at or after `since` as texts in UTC, such as `2024-03-10 07:00`."""
    return [written(each) for each in islice(times_of(timing).between(utc(since), utc("2199-12-31")), count)]


def written(instant: datetime) -> str:
    """Return an instant as a text, without what is zero in it."""
    assert instant.tzinfo is UTC
    return f"{instant:%Y-%m-%d %H:%M:%S.%f}".removesuffix(".000000").removesuffix(":00")


def walk(times: Times, start: datetime, end: datetime) -> list[datetime]:
    """Return the times from `start` to `end` as `after` gives them, one by one."""
    found: list[datetime] = []
    instant = times.after(start - TICK)
    while instant is not None and instant <= end:
        found.append(instant)
        instant = times.after(instant)
    return found


def complaint(timing: Timing) -> tuple[str, str]:
    """Return the field and the message of the one thing that is wrong with a timing."""
    [error] = timing_errors(timing)
    return error.field, error.message
