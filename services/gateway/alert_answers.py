"""The documents about alerts, for the OpenAPI document, with examples."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from shared.domain.alert_events import AlertKind, Severity


class AlertAnswer(BaseModel):
    """One alert. `since` is when it was raised last, `occurrences` how often; `value` is what was measured then."""

    id: UUID
    kind: AlertKind
    subject: str
    severity: Severity
    summary: str
    value: float | None
    threshold: float | None
    since: datetime
    resolved_at: datetime | None
    resolution: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    occurrences: int


class AlertPage(BaseModel):
    """Alerts, raised last first."""

    items: list[AlertAnswer]
    next_cursor: str | None


ALERT: dict[str, Any] = {
    "id": "3b6f0a52-93c7-5a4e-8a0d-2b9f4c7e1d38",
    "kind": "queue_backlog",
    "subject": "high/depth",
    "severity": "warning",
    "summary": "1204 tasks wait in high",
    "value": 1204.0,
    "threshold": 1000.0,
    "since": "2026-01-30T14:30:00.125000Z",
    "resolved_at": None,
    "resolution": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "note": None,
    "occurrences": 1,
}
ACKNOWLEDGED = ALERT | {
    "acknowledged_at": "2026-01-30T14:32:00Z",
    "acknowledged_by": "ann",
    "note": "two more workers are on their way",
}
ALERTS: dict[str, Any] = {"items": [ALERT], "next_cursor": None}
