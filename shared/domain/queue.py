"""The queue of a level: it is paused or not, which its newest event alone tells."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from shared.domain.deciding import metadata
from shared.domain.events import Event, Stamp
from shared.domain.priority import Priority
from shared.domain.queue_events import QueueEvent, QueuePaused, QueueResumed, queue_id

_USER = "user:"


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """That a queue is paused: since when, by whom, and why. `by` is a user, or the part of Blotter that did it."""

    at: datetime
    by: str
    reason: str | None = None


class Queue:
    """One level. Commands append what they decide to what `collect_events` returns; asking again changes nothing."""

    TOPIC: ClassVar[str] = "queue"

    def __init__(self, level: Priority, newest: QueueEvent | None = None) -> None:
        self.level = level
        self.version = 0
        self.pause_now: Pause | None = None
        self._pending: list[Event] = []
        if newest is not None:
            self.apply(newest)

    @property
    def id(self) -> UUID:
        """Return the id of its stream."""
        return queue_id(self.level)

    def collect_events(self) -> Sequence[Event]:
        """Return what was decided since the last call, oldest first, and forget it."""
        pending, self._pending = self._pending, []
        return pending

    def apply(self, event: QueueEvent) -> None:
        """Take in an event from the log; an older one than the last changes nothing."""
        if event.originator_version > self.version:
            self.version, self.pause_now = event.originator_version, pause_of(event)

    def pause(self, stamp: Stamp, *, reason: str | None = None) -> None:
        """Keep the level's tasks from the workers."""
        if self.pause_now is None:
            self._trigger(QueuePaused, stamp, reason)

    def resume(self, stamp: Stamp, *, reason: str | None = None) -> None:
        """Let the level's tasks have their turns."""
        if self.pause_now is not None:
            self._trigger(QueueResumed, stamp, reason)

    def _trigger(self, event: type[QueueEvent], stamp: Stamp, reason: str | None) -> None:
        decided = event(
            originator_id=self.id,
            originator_version=self.version + 1,
            **metadata(stamp),
            level=self.level,
            reason=reason,
        )
        self.apply(decided)
        self._pending.append(decided)


def pause_of(event: QueueEvent) -> Pause | None:
    """Return the pause that holds after an event, None for none."""
    if not isinstance(event, QueuePaused):
        return None
    return Pause(at=event.at, by=pause_by(event.actor), reason=event.reason)


def pause_by(actor: str) -> str:
    """Return who an actor is, for people."""
    return actor.removeprefix(_USER)


def pause_document(pause: Pause | None) -> dict[str, Any]:
    """Return what every document about a queue says of its pause: `paused`, and since when, by whom and why."""
    return {
        "paused": pause is not None,
        "paused_at": pause and pause.at,
        "paused_by": pause and pause.by,
        "pause_reason": pause and pause.reason,
    }
