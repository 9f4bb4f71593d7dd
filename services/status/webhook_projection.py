"""What the projector makes of the events of webhooks and preferences: the fold of each, and the newest word."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.status.tables import notification_preferences, upsert, webhooks
from shared.domain.notification_events import NOTIFICATION_TOPICS, PreferencesChanged
from shared.domain.webhook import WEBHOOK_TOPICS, WebhookState, fold
from shared.domain.webhook_events import WebhookEvent
from shared.log.runs import Recorded

TOPICS = (*WEBHOOK_TOPICS, *NOTIFICATION_TOPICS)

Row = dict[str, Any]


def project(connection: sa.Connection, batch: Sequence[Recorded]) -> None:
    """Write what a batch says of webhooks and preferences, other events left alone, in the caller's transaction.

    Whoever else writes these rows must wait for its end.
    """
    preferences = {row["user_id"]: row for each in batch if (row := preferences_row(each)) is not None}
    if preferences:
        connection.execute(_UPSERT_PREFERENCES, list(preferences.values()))
    by_webhook: dict[UUID, list[Recorded]] = {}
    for each in batch:
        if isinstance(each.event, WebhookEvent):
            by_webhook.setdefault(each.event.originator_id, []).append(each)
    if by_webhook:
        known = _known(connection, list(by_webhook))
        connection.execute(
            _UPSERT_WEBHOOKS, [webhook_row(known.get(webhook), events) for webhook, events in by_webhook.items()]
        )


def webhook_row(before: Row | None, recorded: Sequence[Recorded]) -> Row:
    """Return the row of a webhook after more of its events, the first of them if there was no row before."""
    state = fold(decode_webhook(before["state"]) if before else None, (each.event for each in recorded))
    assert state is not None, "a webhook begins with its creation"
    return {
        "webhook_id": state.webhook_id,
        "user_id": state.user_id,
        "deleted": state.deleted_at is not None,
        "created_at": state.created_at,
        "created_position": before["created_position"] if before else recorded[0].position,
        "state": msgspec.json.encode(state).decode(),
        "position": recorded[-1].position,
    }


def preferences_row(recorded: Recorded) -> Row | None:
    """Return the row that an event leaves, None for one that is not about preferences."""
    event = recorded.event
    if not isinstance(event, PreferencesChanged):
        return None
    text = msgspec.json.encode(event).decode()
    return {"user_id": event.user_id, "preferences": text, "position": recorded.position}


def decode_webhook(text: str) -> WebhookState:
    """Return the state in a row."""
    return msgspec.json.decode(text, type=WebhookState)


def decode_preferences(text: str) -> PreferencesChanged:
    """Return the preferences in a row."""
    return msgspec.json.decode(text, type=PreferencesChanged)


def _known(connection: sa.Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, Row]:
    c = webhooks.c
    statement = sa.select(c.webhook_id, c.created_position, c.state).where(c.webhook_id.in_(webhook_ids))
    return {
        row.webhook_id: {"created_position": row.created_position, "state": row.state}
        for row in connection.execute(statement)
    }


_UPSERT_WEBHOOKS = upsert(webhooks)
_UPSERT_PREFERENCES = upsert(notification_preferences)
