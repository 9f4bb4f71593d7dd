"""The documents about queues, for the OpenAPI document: what is sent is made by `queue_control` and the status service.

A test holds these fields and those of the answers together.
"""

from datetime import datetime

from pydantic import BaseModel

from shared.domain.priority import Priority


class QueueState(BaseModel):
    """Whether a level is paused: since when, by whom and why, all null while it is not."""

    priority: Priority
    paused: bool
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None


class QueueAnswer(QueueState):
    """A level: `depth` tasks wait in it for a worker, one of them since `oldest_seconds` ago.

    `consumers` are the workers that take from it, null while Redis does not answer.
    """

    depth: int
    oldest_seconds: float | None
    consumers: list[str] | None


class MaintenanceQueue(BaseModel):
    """The queue of probes and clean-ups; null while Redis does not answer."""

    depth: int | None
    consumers: list[str] | None


class QueuePage(BaseModel):
    """Every level, highest first, and the queue beside them."""

    items: list[QueueAnswer]
    maintenance: MaintenanceQueue
