"""What can happen to the queue of a level: one stream each."""

from typing import ClassVar
from uuid import UUID, uuid5

from shared.domain.events import EVENTS, Event
from shared.domain.priority import Priority

_NAMESPACE = UUID("2f8a4b6e-7c1d-5e3a-9b60-4d1f0c7e8a52")


def queue_id(level: Priority) -> UUID:
    """Return the id of a level's stream, the same in every log."""
    return uuid5(_NAMESPACE, str(level))


class QueueEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about the queue of a level."""

    level: Priority
    reason: str | None = None


@EVENTS.add
class QueuePaused(QueueEvent, frozen=True, kw_only=True):
    """From here on no task of the level begins or resumes; those that run go on."""

    TOPIC: ClassVar[str] = "queue.paused"


@EVENTS.add
class QueueResumed(QueueEvent, frozen=True, kw_only=True):
    """The tasks of the level have their turns again."""

    TOPIC: ClassVar[str] = "queue.resumed"


QUEUE_TOPICS = (QueuePaused.TOPIC, QueueResumed.TOPIC)
