"""When a delivery that failed is tried again, and when no more. Pure."""

from datetime import datetime, timedelta

STEPS = tuple(timedelta(seconds=each) for each in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400))
"""Pauses after the first tries; the last one repeats."""
JITTER = 0.1
GIVES_UP_AFTER = timedelta(hours=24)
LONGEST_WISH = timedelta(hours=4)
"""How long a target's Retry-After may put a try off."""


def next_try(
    attempts: int, *, begun_at: datetime, now: datetime, chance: float, wish: timedelta | None = None
) -> datetime | None:
    """Return when to try again after `attempts` failures, None for never: a day after it began.

    `chance`, from 0 to 1, spreads pauses by a tenth either way. `wish` is what the target asks for; it is not tried
    before that, up to `LONGEST_WISH`.
    """
    pause = STEPS[min(attempts, len(STEPS)) - 1] * (1 - JITTER + 2 * JITTER * chance)
    if wish is not None:
        pause = max(pause, min(wish, LONGEST_WISH))
    at = now + pause
    return at if at < begun_at + GIVES_UP_AFTER else None
