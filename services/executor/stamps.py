"""The metadata of what a worker appends."""

from collections.abc import Callable
from datetime import UTC, datetime

from shared.domain.events import Stamp
from shared.telemetry import current_traceparent

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def worker_stamp(worker: str, now: Clock) -> Stamp:
    """Return a stamp of this moment, by `worker`, under the active trace."""
    return Stamp(at=now(), actor=f"worker:{worker}", trace=current_traceparent())
