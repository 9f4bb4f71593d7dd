"""Every question about webhooks and deliveries that is put to the tables, as a function of an open connection."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.status.cursors import TimeCursor
from services.status.filters import DeliveryFilter, WebhookFilter
from services.status.notifier.tables import deliveries as kept_deliveries
from services.status.notifier.tables import tries as kept_tries
from services.status.tables import webhooks as kept

_SHOWN = (
    *("delivery_id", "event_id", "topic", "position", "state", "attempts"),
    *("created_at", "due_at", "ended_at", "last_status", "last_error"),
)


class WebhookRow(NamedTuple):
    """A webhook's fold as JSON, to the letter, and what webhooks are sorted by."""

    created_at: datetime
    webhook_id: UUID
    state: msgspec.Raw


def webhooks(connection: sa.Connection, wanted: WebhookFilter, after: TimeCursor | None) -> list[WebhookRow]:
    """Return up to `wanted.limit + 1` webhooks that are not deleted, newest first."""
    c = kept.c
    statement = sa.select(c.created_at, c.webhook_id, c.state).where(~c.deleted)
    if wanted.user_id is not None:
        statement = statement.where(c.user_id == wanted.user_id)
    if after is not None:
        statement = statement.where(sa.tuple_(c.created_at, c.webhook_id) < sa.tuple_(*after))
    statement = statement.order_by(c.created_at.desc(), c.webhook_id.desc()).limit(wanted.limit + 1)
    return [
        WebhookRow(created_at, webhook_id, msgspec.Raw(state.encode()))
        for created_at, webhook_id, state in connection.execute(statement)
    ]


def deliveries(
    connection: sa.Connection, webhook_id: UUID, wanted: DeliveryFilter, *, before: int
) -> list[dict[str, Any]]:
    """Return up to `wanted.limit + 1` deliveries of events before a position, newest first."""
    c = kept_deliveries.c
    statement = sa.select(*(c[name] for name in _SHOWN)).where(c.target_id == webhook_id, c.position < before)
    if wanted.state is not None:
        statement = statement.where(c.state == wanted.state)
    rows = connection.execute(statement.order_by(c.position.desc()).limit(wanted.limit + 1)).mappings()
    return [_shown(row) for row in rows]


def delivery(connection: sa.Connection, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any] | None:
    """Return one delivery with its body and its tries, None when the webhook has none of this id."""
    c, t = kept_deliveries.c, kept_tries.c
    statement = sa.select(*(c[name] for name in (*_SHOWN, "body")))
    statement = statement.where(c.delivery_id == delivery_id, c.target_id == webhook_id)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    columns = [column for column in t if column.name != "delivery_id"]
    tried = connection.execute(sa.select(*columns).where(t.delivery_id == delivery_id).order_by(t.number)).mappings()
    return _shown(row) | {"tries": [dict(each) for each in tried]}


def _shown(row: sa.RowMapping) -> dict[str, Any]:
    return {("type" if name == "topic" else str(name)): value for name, value in row.items()}
