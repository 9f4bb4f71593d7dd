"""The stream in which retention says what it does."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from shared.domain.deciding import metadata
from shared.domain.events import Stamp
from shared.domain.retention_events import RETENTION_ID, RetentionEvent
from shared.log.event_log import EventLog
from shared.telemetry import current_traceparent

ACTOR = "executor:cleanup"

_E = TypeVar("_E", bound=RetentionEvent)


class RetentionRecord:
    """Appends to the stream; one clean-up at a time does, which holds the lock."""

    def __init__(self, log: EventLog, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self.now = now

    def make(self, kind: type[_E], **fields: Any) -> _E:
        """Return the next event of the stream."""
        latest = self._log.latest(RETENTION_ID)
        version = latest.originator_version if latest else 0
        stamp = Stamp(at=self.now(), actor=ACTOR, trace=current_traceparent())
        return kind(originator_id=RETENTION_ID, originator_version=version + 1, **metadata(stamp), **fields)

    def add(self, kind: type[_E], **fields: Any) -> int:
        """Append the next event and return its position. Raises VersionConflict."""
        [position] = self._log.append([self.make(kind, **fields)])
        return position

    def newest(self, kind: type[_E]) -> _E | None:
        """Return the newest event of a kind, None when there is none."""
        found = self._log.newest_of([RETENTION_ID], [kind.TOPIC])
        return found[0] if found and isinstance(found[0], kind) else None
