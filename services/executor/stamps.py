"""The metadata of what a worker appends."""

from collections.abc import Callable
from datetime import UTC, datetime

from shared.domain.events import Stamp
from shared.telemetry import current_traceparent

_WORKER = "worker:"

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def worker_stamp(worker: str, now: Clock) -> Stamp:
    """Return a stamp of this moment, by `worker`, under the active trace."""
    return Stamp(at=now(), actor=f"{_WORKER}{worker}", trace=current_traceparent())


def is_worker(actor: str) -> bool:
    """Tell whether `actor` of an event is a worker."""
    return actor.startswith(_WORKER)
