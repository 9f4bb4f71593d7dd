"""What can happen to a webhook. Its id is that of its stream; what is secret in it is sealed (`shared.sealing`)."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.domain.events import EVENTS, Event


class Scope(StrEnum):
    """Whose events somebody is told of: their own, or everybody's and those that belong to nobody."""

    OWN = "own"
    ALL = "all"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where deliveries go: the address, sealed since it may hold a token, and its host, for people."""

    url: str
    host: str


class WebhookEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about a webhook."""


@EVENTS.add
class WebhookCreated(WebhookEvent, frozen=True, kw_only=True):
    """A user wants to be told of events of these types."""

    TOPIC: ClassVar[str] = "webhook.created"

    user_id: str
    scope: Scope
    target: Target
    types: tuple[str, ...]
    secret: str
    request_hash: str | None = None


@EVENTS.add
class WebhookChanged(WebhookEvent, frozen=True, kw_only=True):
    """It was given another address, or other types."""

    TOPIC: ClassVar[str] = "webhook.changed"

    target: Target
    types: tuple[str, ...]


@EVENTS.add
class WebhookEnabled(WebhookEvent, frozen=True, kw_only=True):
    """From here on it is told of events again."""

    TOPIC: ClassVar[str] = "webhook.enabled"


@EVENTS.add
class WebhookDisabled(WebhookEvent, frozen=True, kw_only=True):
    """From here on it is told of nothing."""

    TOPIC: ClassVar[str] = "webhook.disabled"

    reason: str | None = None


@EVENTS.add
class SecretRotated(WebhookEvent, frozen=True, kw_only=True):
    """Deliveries are signed with another secret; until `former_until` with the former one as well."""

    TOPIC: ClassVar[str] = "webhook.secret_rotated"

    secret: str
    former_until: datetime


@EVENTS.add
class WebhookDeleted(WebhookEvent, frozen=True, kw_only=True):
    """It is told of nothing any more, and what waits for it is not delivered."""

    TOPIC: ClassVar[str] = "webhook.deleted"


@EVENTS.add
class WebhookTested(WebhookEvent, frozen=True, kw_only=True):
    """Somebody wants to see a delivery: this event is delivered, whatever the types."""

    TOPIC: ClassVar[str] = "webhook.tested"


@EVENTS.add
class RedeliveryRequested(WebhookEvent, frozen=True, kw_only=True):
    """A delivery is to be tried again from its beginning, whatever became of it."""

    TOPIC: ClassVar[str] = "webhook.redelivery_requested"

    delivery_id: UUID
