"""What can happen to an alert: one stream for each thing that may be wrong with one subject."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID, uuid5

from shared.domain.events import EVENTS, Event

_NAMESPACE = UUID("b5c0a7d2-1f3e-5a86-9d47-60e2c8f4a913")


class AlertKind(StrEnum):
    """What may be wrong; docs/alerts.md says of each when it is, and what to do."""

    WORKER_UNRESPONSIVE = "worker_unresponsive"
    QUEUE_BACKLOG = "queue_backlog"
    QUEUE_WITHOUT_CONSUMER = "queue_without_consumer"
    PROJECTION_LAG = "projection_lag"
    SCHEDULE_MISSED = "schedule_missed"
    TASK_FAILED = "task_failed"
    NEEDS_ATTENTION = "needs_attention"


class Severity(StrEnum):
    """How soon somebody should look: `critical` at once, `warning` today."""

    WARNING = "warning"
    CRITICAL = "critical"


def alert_id(kind: AlertKind, subject: str) -> UUID:
    """Return the id of the alert of a kind about a subject, the same in every log."""
    return uuid5(_NAMESPACE, f"{kind}/{subject}")


class AlertEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about an alert. `subject` is what it is about: a worker, a queue, a strategy."""

    kind: AlertKind
    subject: str


@EVENTS.add
class AlertRaised(AlertEvent, frozen=True, kw_only=True):
    """Something has been wrong for a while; `value` was beyond `threshold`, both in the unit of the kind."""

    TOPIC: ClassVar[str] = "alert.raised"

    severity: Severity
    summary: str
    value: float | None = None
    threshold: float | None = None


@EVENTS.add
class AlertResolved(AlertEvent, frozen=True, kw_only=True):
    """It is not wrong any more, for a while; `reason` says how that is known."""

    TOPIC: ClassVar[str] = "alert.resolved"

    reason: str


@EVENTS.add
class AlertAcknowledged(AlertEvent, frozen=True, kw_only=True):
    """Somebody knows of it and looks after it."""

    TOPIC: ClassVar[str] = "alert.acknowledged"

    note: str | None = None


ALERT_TOPICS = (AlertRaised.TOPIC, AlertResolved.TOPIC, AlertAcknowledged.TOPIC)
