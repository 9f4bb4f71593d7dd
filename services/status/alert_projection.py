"""What the projector makes of alerts: a row each, as its stream says."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.status.tables import alerts, upsert
from shared.domain.alert import Alert, evolve
from shared.domain.alert_events import AlertEvent, AlertKind, Severity
from shared.log.runs import Recorded


def project(connection: sa.Connection, batch: Sequence[Recorded]) -> None:
    """Write what a batch says of alerts, other events left alone, in the caller's transaction."""
    events = [each.event for each in batch if isinstance(each.event, AlertEvent)]
    if events:
        known = stored(connection, {event.originator_id for event in events})
        connection.execute(_UPSERT, [alert_row(alert) for alert in evolved(known, events).values()])


def evolved(known: dict[UUID, Alert], events: Iterable[AlertEvent]) -> dict[UUID, Alert]:
    """Return the known alerts after some events; what they have taken in already changes nothing."""
    after = dict(known)
    for event in events:
        alert = evolve(after.get(event.originator_id), event)
        if alert is not None:
            after[alert.id] = alert
    return after


def stored(connection: sa.Connection, ids: Iterable[UUID]) -> dict[UUID, Alert]:
    """Return those of some alerts that have rows."""
    rows = connection.execute(sa.select(alerts).where(alerts.c.id.in_(list(ids)))).mappings()
    return {row["id"]: alert_of(row) for row in rows}


def alert_row(alert: Alert) -> dict[str, Any]:
    """Return the row of an alert."""
    return msgspec.structs.asdict(alert) | {"kind": str(alert.kind), "severity": str(alert.severity)}


def alert_of(row: sa.RowMapping) -> Alert:
    """Return the alert of a row."""
    return Alert(**(dict(row) | {"kind": AlertKind(row["kind"]), "severity": Severity(row["severity"])}))


_UPSERT = upsert(alerts)
