"""Deciding about one stream in somebody's name, and again when it moves on meanwhile."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from services.gateway.credentials import Caller
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.telemetry import current_traceparent

MOST_TRIES = 20
"""All that people do at once to one thing is appended to one stream: of so many requests the last one still gets in."""

T = TypeVar("T")


async def until_agreed(attempt: Callable[[], Awaitable[T]], *, tries: int = MOST_TRIES) -> T:
    """Return what `attempt` does, which is made again when it was overtaken; VersionConflict after so many `tries`."""
    for _ in range(tries - 1):
        try:
            return await attempt()
        except VersionConflict:
            continue  # the stream has moved on: decide again from what it is now
    return await attempt()


def stamp_of(caller: Caller, at: datetime) -> Stamp:
    """Return the metadata of what a caller decides, under the active trace."""
    return Stamp(at=at, actor=f"user:{caller.user_id}", trace=current_traceparent())
