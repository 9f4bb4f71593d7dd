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


TIMEOUT = "timeout"
"""`Failure.type` of a run that has used up its time at work."""

STEP_TIMEOUT = "StepTimeout"
"""`Failure.type` of a step that has used up its own time; the error of that name in the SDK."""


NEEDS_ATTENTION = "needs_attention"
"""`Failure.type` of a run with an order of which nobody but a person can tell what became."""

WORKER_LOST = "worker_lost"
"""`Failure.type` of what took its worker with it too often."""


def worker_lost_failure(losses: int, reason: str) -> Failure:
    """Return the failure of a run or branch that lost its worker so often without completing a step in between."""
    message = f"The run lost its worker {losses} times without completing a step in between: {reason}."
    return Failure(type=WORKER_LOST, message=message, retryable=False)


def timeout_failure(seconds: float) -> Failure:
    """Return the failure of a run that took longer than its `seconds` at work."""
    return Failure(
        type=TIMEOUT,
        message=f"The run took longer than its {seconds:g} s. Raise timeout_seconds, or let its steps do less.",
        retryable=False,
        timed_out=True,
    )


def stubborn_step_failure(step: str, seconds: float, tries: int) -> Failure:
    """Return the failure of a step that took longer than its `seconds` again and again, and its process with it."""
    return Failure(
        type=STEP_TIMEOUT,
        message=f"Step {step!r} took longer than its {seconds:g} s, and could only be stopped by ending its process, "
        f"{tries} times. Raise its timeout=, or have it come back to Python more often.",
        retryable=False,
        timed_out=True,
    )


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
