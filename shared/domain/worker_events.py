"""What can happen to a worker by somebody's decision; that it lives or died is told by heartbeats, not here."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid5

from shared.domain.events import EVENTS, Event

_WORKERS = UUID("3b0c9a52-63b5-4a55-9a53-7a1f6f0f7d1e")


def worker_stream(name: str) -> UUID:
    """Return the id of the stream of all workers that ever bear this name."""
    return uuid5(_WORKERS, name)


@EVENTS.add
class DrainRequested(Event, frozen=True, kw_only=True):
    """The worker of this name is to take nothing more, and to leave.

    It is about the one process that began at `started_at`: whoever bears the name after it is not meant.
    """

    TOPIC: ClassVar[str] = "worker.drain_requested"

    name: str
    started_at: datetime
