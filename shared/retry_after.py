"""The HTTP header `Retry-After`."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MOST_DIGITS = 10
"""Ten digits of seconds are three centuries; more would not fit a timedelta."""


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the wait that the header asks for: seconds or an HTTP date (RFC 9110, section 10.2.3).

    None for a header that is missing or neither; zero for a date that has passed.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= MOST_DIGITS else None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": UTC, from a sender that does not say where it is
        moment = moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))
