"""An alert: raised, perhaps acknowledged, resolved, and raised again when it comes back."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.domain.alert_events import (
    AlertAcknowledged,
    AlertEvent,
    AlertKind,
    AlertRaised,
    AlertResolved,
    Severity,
    alert_id,
)
from shared.domain.deciding import metadata
from shared.domain.errors import NotFound
from shared.domain.events import Event, Stamp

_USER = "user:"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now. `since` is when it was raised last, and `occurrences` how often it was; `version` counts events.

    `value` is what was measured when it was raised. What is acknowledged is this occurrence, not the next one.
    """

    id: UUID
    kind: AlertKind
    subject: str
    severity: Severity
    summary: str
    value: float | None
    threshold: float | None
    since: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    note: str | None = None
    occurrences: int = 1
    version: int = 1

    @property
    def is_active(self) -> bool:
        """Tell whether it is still wrong."""
        return self.resolved_at is None


def evolve(alert: Alert | None, event: AlertEvent) -> Alert | None:
    """Return the alert after an event of its stream; one that is in it already changes nothing."""
    if alert is not None and event.originator_version <= alert.version:
        return alert
    version = event.originator_version
    match event:
        case AlertRaised():
            return _raised(alert, event)
        case AlertResolved(reason=reason) if alert is not None:
            return msgspec.structs.replace(alert, resolved_at=event.at, resolution=reason, version=version)
        case AlertAcknowledged(note=note) if alert is not None:
            by = event.actor.removeprefix(_USER)
            return msgspec.structs.replace(
                alert, acknowledged_at=event.at, acknowledged_by=by, note=note, version=version
            )
    return alert


def fold(events: Iterable[Event]) -> Alert | None:
    """Return the alert that the events of its stream tell of, oldest first; None for none."""
    alert = None
    for event in events:
        if isinstance(event, AlertEvent):
            alert = evolve(alert, event)
    return alert


def raised(
    alert: Alert | None,
    stamp: Stamp,
    *,
    kind: AlertKind,
    subject: str,
    severity: Severity,
    summary: str,
    value: float | None = None,
    threshold: float | None = None,
) -> AlertRaised:
    """Return the event that raises an alert, for the first time or again."""
    return AlertRaised(
        originator_id=alert_id(kind, subject),
        originator_version=(alert.version if alert else 0) + 1,
        **metadata(stamp),
        kind=kind,
        subject=subject,
        severity=severity,
        summary=summary,
        value=value,
        threshold=threshold,
    )


def resolved(alert: Alert, stamp: Stamp, *, reason: str) -> AlertResolved:
    """Return the event that resolves an alert."""
    return AlertResolved(**_next(alert, stamp), reason=reason)


def acknowledged(alert: Alert, stamp: Stamp, *, note: str | None = None) -> AlertAcknowledged | None:
    """Return the event that acknowledges an alert, None when somebody has: the first one stands."""
    return AlertAcknowledged(**_next(alert, stamp), note=note) if alert.acknowledged_at is None else None


def alert_not_found(alert: str) -> NotFound:
    """Return the error for an id under which nothing was ever raised."""
    return NotFound("alert", f"There is no alert {alert}: GET /api/alerts lists those that there are.")


def alert_document(alert: Alert) -> dict[str, Any]:
    """Return an alert as the API answers it."""
    document = msgspec.structs.asdict(alert)
    del document["version"]
    return document


def _raised(alert: Alert | None, event: AlertRaised) -> Alert:
    return Alert(
        id=event.originator_id,
        kind=event.kind,
        subject=event.subject,
        severity=event.severity,
        summary=event.summary,
        value=event.value,
        threshold=event.threshold,
        since=event.at,
        occurrences=alert.occurrences + 1 if alert else 1,
        version=event.originator_version,
    )


def _next(alert: Alert, stamp: Stamp) -> dict[str, Any]:
    return {
        "originator_id": alert.id,
        "originator_version": alert.version + 1,
        **metadata(stamp),
        "kind": alert.kind,
        "subject": alert.subject,
    }
