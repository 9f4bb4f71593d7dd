"""Who is to be told of an event: the webhooks and the people of one position of the log, and what they want."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from services.status.projector import PROJECTOR
from services.status.tables import (
    notification_preferences,
    positions,
    schedules,
    webhooks,
    workflow_executions,
)
from services.status.webhook_projection import decode_preferences, decode_webhook
from shared.cloud_events import TYPE_PREFIX
from shared.domain.notification_events import PreferencesChanged
from shared.domain.webhook import WebhookState
from shared.domain.webhook_events import WebhookTested

WEBHOOK = "webhook"
CHANNEL = "channel"


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """One target of one event."""

    kind: str
    target_id: UUID
    user_id: str

    def delivery_id(self, event_id: str) -> UUID:
        """Return the id of the delivery, the same whenever the event comes again."""
        return uuid5(self.target_id, event_id)


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Webhooks that are not deleted, with where each began, and preferences, as of `position`."""

    position: int = -1
    webhooks: tuple[tuple[int, WebhookState], ...] = ()
    people: tuple[PreferencesChanged, ...] = ()

    def may_want(self, topic: str) -> bool:
        """Tell whether anybody at all asks for this topic, whoever it belongs to."""
        return (
            topic == WebhookTested.TOPIC
            or any(state.wants(topic, state.user_id) for _, state in self.webhooks)
            or any(person.wants(topic, person.user_id) or person.wants(topic, None) for person in self.people)
        )

    def recipients(self, event: dict[str, Any], owner: str | None) -> Iterable[Recipient]:
        """Yield whom to tell of a published event that belongs to `owner`, or to nobody."""
        topic = topic_of(event)
        for began, state in self.webhooks:
            tested = topic == WebhookTested.TOPIC and event["subject"] == str(state.webhook_id)
            if event["position"] > began and (tested or state.wants(topic, owner)):
                yield Recipient(kind=WEBHOOK, target_id=state.webhook_id, user_id=state.user_id)
        for person in self.people:
            if person.wants(topic, owner):
                for channel in person.channels:
                    yield Recipient(kind=CHANNEL, target_id=channel.channel_id, user_id=person.user_id)


def topic_of(event: dict[str, Any]) -> str:
    """Return the topic of a published event, as the log names it."""
    return str(event["type"]).removeprefix(TYPE_PREFIX)


def read_audience(connection: sa.Connection) -> Audience:
    """Return the audience as the tables have it; they hold all that the log has up to its position."""
    position = connection.scalar(sa.select(positions.c.position).where(positions.c.follower == PROJECTOR)) or 0
    hooks = connection.execute(sa.select(webhooks.c.created_position, webhooks.c.state).where(~webhooks.c.deleted))
    people = connection.scalars(sa.select(notification_preferences.c.preferences))
    return Audience(
        position=position,
        webhooks=tuple((began, decode_webhook(state)) for began, state in hooks),
        people=tuple(decode_preferences(text) for text in people),
    )


@dataclass(frozen=True)
class Belonging:
    """Whose an event is, and of which strategy; None where that does not apply."""

    user_id: str | None = None
    strategy_id: str | None = None


def read_belonging(connection: sa.Connection, event: dict[str, Any]) -> Belonging:
    """Return to whom the subject of a published event belongs."""
    family = topic_of(event).partition(".")[0]
    match family:
        case "execution" | "branch":
            table, key = workflow_executions, workflow_executions.c.task_id
        case "schedule" | "backfill":
            table, key = schedules, schedules.c.schedule_id
        case _:
            return Belonging()
    row = connection.execute(
        sa.select(table.c.user_id, table.c.strategy_id).where(key == UUID(str(event["subject"])))
    ).one_or_none()
    return Belonging(row.user_id, row.strategy_id) if row is not None else Belonging()
