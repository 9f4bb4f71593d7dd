"""When a schedule fires: what its author has written down, and nothing of how it is computed (`shared.schedules`)."""

from datetime import datetime
from enum import StrEnum

import msgspec


class SessionEvent(StrEnum):
    """What of an exchange's session is meant."""

    OPEN = "open"
    CLOSE = "close"


class SessionMoment(msgspec.Struct, frozen=True, kw_only=True):
    """So many seconds after (below zero, before) each session of an exchange opens or closes."""

    event: SessionEvent
    offset_seconds: float = 0.0


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exactly one of these.

    `at` is one aware time; `cron` a text of five fields, or a name such as `@daily`, meant in the schedule's time zone;
    `every_seconds` an interval, counted from the schedule's `start_at`, or from 1970-01-01T00:00:00Z without one;
    `session` a moment of each session of the schedule's calendar, half days included.
    """

    at: datetime | None = None
    cron: str | None = None
    every_seconds: float | None = None
    session: SessionMoment | None = None


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides about the nominal times of a schedule: instants in UTC, the same for whoever computes them.

    `timezone` is an IANA name. With a `calendar` (an exchange's code, such as XNYS) times on days without a session do
    not count: days are those of the exchange's own zone. None counts before `start_at` or after `end_at`; one at either
    of them does.
    """

    when: When
    timezone: str = "UTC"
    calendar: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
