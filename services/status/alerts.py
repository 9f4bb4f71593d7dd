"""Alerts as the log has them now: the rows, and what has happened since, however far the projector is behind."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from services.status.alert_projection import alert_of, evolved, stored
from services.status.cursors import TimeCursor
from services.status.filters import AlertFilter
from services.status.projector import PROJECTOR
from services.status.resources import Resources
from services.status.tables import alerts, positions
from shared.domain.alert import Alert
from shared.domain.alert_events import ALERT_TOPICS, AlertEvent
from shared.log.positions import read_position


async def page(resources: Resources, wanted: AlertFilter, before: TimeCursor | None) -> list[Alert]:
    """Return one alert more than wanted, raised last first. An alert tells of a projector that stands still, too."""
    news = await _news(resources)
    rows = await resources.tables.ask(_rows, wanted, before, list(news))
    fresh = [alert for alert in news.values() if _is_wanted(alert, wanted, before)]
    found = sorted([*rows, *fresh], key=lambda alert: (alert.since, alert.id), reverse=True)
    return found[: wanted.limit + 1]


async def _news(resources: Resources) -> dict[UUID, Alert]:
    """Return the alerts to which something has happened that is not in the tables yet."""
    position = await resources.tables.ask(read_position, positions, PROJECTOR)
    recorded = await resources.log.read(position, topics=ALERT_TOPICS)
    events = [each.event for each in recorded if isinstance(each.event, AlertEvent)]
    known = await resources.tables.ask(stored, {event.originator_id for event in events}) if events else {}
    return evolved(known, events)


def _rows(
    connection: sa.Connection, wanted: AlertFilter, before: TimeCursor | None, without: Iterable[UUID]
) -> list[Alert]:
    c = alerts.c
    statement = sa.select(alerts).where(c.id.not_in(list(without)))
    if wanted.active is not None:
        statement = statement.where(c.resolved_at.is_(None) if wanted.active else c.resolved_at.is_not(None))
    if wanted.kind is not None:
        statement = statement.where(c.kind == wanted.kind)
    if before is not None:
        statement = statement.where(sa.tuple_(c.since, c.id) < sa.tuple_(*before))
    statement = statement.order_by(c.since.desc(), c.id.desc()).limit(wanted.limit + 1)
    return [alert_of(row) for row in connection.execute(statement).mappings()]


def _is_wanted(alert: Alert, wanted: AlertFilter, before: TimeCursor | None) -> bool:
    place: tuple[datetime, UUID] = (alert.since, alert.id)
    return (
        (wanted.active is None or wanted.active is alert.is_active)
        and (wanted.kind is None or wanted.kind is alert.kind)
        and (before is None or place < tuple(before))
    )
