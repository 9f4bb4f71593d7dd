"""The documents about webhooks and preferences, for the OpenAPI document: what is sent is made by `webhooks`,
`notifications` and the status service.

A test holds these fields and those of the answers together.
"""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from shared.domain.webhook import DeliveryState
from shared.domain.webhook_events import Scope


class WebhookAnswer(BaseModel):
    """A webhook; `types` are topics of the log."""

    webhook_id: UUID
    url: str
    types: list[str]
    scope: Scope
    enabled: bool
    disabled_reason: str | None
    user_id: str
    created_at: datetime
    changed_at: datetime


class WebhookWithSecret(WebhookAnswer):
    """A webhook and the secret that signs its deliveries; null where an earlier request was told it."""

    secret: str | None


class WebhookPage(BaseModel):
    """Webhooks, newest first."""

    items: list[WebhookAnswer]
    next_cursor: str | None


class DeliveryAnswer(BaseModel):
    """An event on its way to a webhook: `attempts` tries were begun, the next one is due at `due_at`."""

    delivery_id: UUID
    event_id: str
    type: str
    position: int
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None


class Try(BaseModel):
    """One try: what the target answered, at most 1 KiB of it, or why it did not."""

    number: int
    at: datetime
    duration_seconds: float
    status: int | None
    error: str | None
    answer: str | None


class DeliveryWithTries(DeliveryAnswer):
    """A delivery, what is delivered, and each try that came to an end."""

    body: str
    tries: list[Try]


class DeliveryPage(BaseModel):
    """Deliveries, newest event first."""

    items: list[DeliveryAnswer]
    next_cursor: str | None


class ChannelAnswer(BaseModel):
    """A way to a person; its URL is not shown again."""

    channel_id: UUID
    scheme: str


class PreferencesAnswer(BaseModel):
    """What a user is told of, and how; `default_types` when they have not said of what."""

    user_id: str
    channels: list[ChannelAnswer]
    types: list[str]
    default_types: bool
    scope: Scope
