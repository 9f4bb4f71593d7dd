"""What retention does to the record, and what a clean-up came to: one stream for all of it."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.domain.events import EVENTS, Event
from shared.domain.outputs import ObjectRef

RETENTION_ID = UUID("6d1f0b52-93c7-5a4e-8a0d-2b9f4c7e1d38")
"""The id of the stream, the same in every log."""


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up did about one kind of things: how many by what became of them, and in how many seconds.

    `error` says why it was not done, or not to its end; None when it was.
    """

    kind: str
    counts: dict[str, int]
    seconds: float
    error: str | None = None


class RetentionEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about retention."""


@EVENTS.add
class ExecutionsExpired(RetentionEvent, frozen=True, kw_only=True):
    """The tables have no rows any more of runs that were submitted before `before` and have ended, with nothing said of
    them after the position `through`. The log still has them."""

    TOPIC: ClassVar[str] = "retention.executions_expired"

    before: datetime
    through: int


@EVENTS.add
class StreamsArchived(RetentionEvent, frozen=True, kw_only=True):
    """Streams of runs that ended long ago were moved to an object, and are closed for ever.

    It holds so many `events`, from `first_position` to `last_position`, of so many `runs` and their branches: `streams`
    together.
    """

    TOPIC: ClassVar[str] = "retention.streams_archived"

    archive: ObjectRef
    first_position: int
    last_position: int
    events: int
    streams: int
    runs: int


@EVENTS.add
class CleanupFinished(RetentionEvent, frozen=True, kw_only=True):
    """A clean-up came to its end, whatever it could do of each kind."""

    TOPIC: ClassVar[str] = "cleanup.finished"

    started_at: datetime
    kinds: tuple[KindReport, ...]


RETENTION_TOPICS = (ExecutionsExpired.TOPIC, CleanupFinished.TOPIC)
"""Those that the tables of the status service are made of."""
