"""Alerts for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.status.alert_policy import Reading, Sample
from shared.domain.alert import Alert, evolve, raised, resolved
from shared.domain.alert_events import AlertKind, AlertRaised, AlertResolved, Severity
from shared.domain.events import Stamp

AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
BACKLOG = frozenset({AlertKind.QUEUE_BACKLOG})


def alert_raised(number: int = 1, known: Alert | None = None, **changes: Any) -> AlertRaised:
    """The alert about the queue of this number, raised as many seconds after the first."""
    fields: dict[str, Any] = {
        "kind": AlertKind.QUEUE_BACKLOG,
        "subject": f"queue-{number}",
        "severity": Severity.WARNING,
        "summary": "12 tasks wait",
        "value": 12.0,
        "threshold": 10.0,
    }
    stamp = Stamp(at=AT + timedelta(seconds=number), actor="status:alerter")
    return raised(known, stamp, **(fields | changes))


def alert_resolved(event: AlertRaised, seconds: float = 60) -> AlertResolved:
    """It is resolved so many seconds later."""
    alert = evolve(None, event)
    assert alert is not None
    stamp = Stamp(at=event.at + timedelta(seconds=seconds), actor="status:alerter")
    return resolved(alert, stamp, reason="it is well below its threshold again")


def reading(value: float, *, subject: str = "high/depth", threshold: float = 10.0) -> Reading:
    """What was measured of a backlog."""
    return Reading(
        kind=AlertKind.QUEUE_BACKLOG,
        subject=subject,
        severity=Severity.WARNING,
        summary=f"{value:g} tasks wait",
        is_over=value >= threshold,
        is_clear=value < 0.8 * threshold,
        cleared="it is below",
        value=value,
        threshold=threshold,
    )


def sample(*values: float) -> Sample:
    """One look at one backlog, or at none."""
    return Sample(readings=tuple(reading(value) for value in values), seen=BACKLOG)


BLIND = Sample(readings=(), seen=frozenset())
"""A look at which nothing could be read."""
