"""What went wrong in a step, as a record, and how long to wait before it is tried again."""

from datetime import timedelta

import msgspec

FIRST_RETRY_DELAY = timedelta(seconds=1)
"""Delay before the first retry; each further one doubles it: 1, 2, 4, 8 s."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One error of one step; `type` is a stable word or the exception's class name."""

    type: str
    message: str
    retryable: bool
    traceback: str = ""
    retry_after_seconds: float | None = None
    timed_out: bool = False
    needs_attention: bool = False


def retry_delay(
    retry: int,
    *,
    first: timedelta = FIRST_RETRY_DELAY,
    retry_after: timedelta | None = None,
    jitter: float = 0.0,
) -> timedelta:
    """Return the time to wait before retry number `retry` (1, 2, 3 ...): `first * 2**(retry - 1)`.

    `jitter` (0..1) is the share of it to take off; its caller draws it. A server's `Retry-After` (RFC 9110, section
    10.2.3) is honoured when it asks for longer.
    """
    if retry < 1:
        raise ValueError(f"retry counts from 1, not {retry}")
    backoff = first * (1 << (retry - 1)) * (1 - jitter)
    return max(backoff, retry_after) if retry_after is not None else backoff
