"""The webhook: what may happen to it, decided on the fold of its events."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec

from shared.domain import webhook_events as happened
from shared.domain.deciding import metadata
from shared.domain.event_types import covers
from shared.domain.events import EVENTS, Event, Stamp
from shared.domain.webhook_events import Scope, Target

FORMER_SECRET_LASTS = timedelta(hours=24)
"""How long deliveries are signed with a secret that was rotated away as well."""


class DeliveryState(StrEnum):
    """What a delivery has come to: it is on its way, was taken, or was given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class WebhookState(msgspec.Struct, kw_only=True):
    """A webhook as its events leave it; addresses and secrets are sealed."""

    webhook_id: UUID
    version: int
    user_id: str
    scope: Scope
    target: Target
    types: tuple[str, ...]
    secret: str
    created_at: datetime
    changed_at: datetime
    former_secret: str | None = None
    former_until: datetime | None = None
    enabled: bool = True
    disabled_reason: str | None = None
    deleted_at: datetime | None = None

    @property
    def listens(self) -> bool:
        """Tell whether it is told of events."""
        return self.enabled and self.deleted_at is None

    def wants(self, topic: str, owner: str | None) -> bool:
        """Tell whether it is told of an event of this topic, which belongs to `owner` or to nobody."""
        return self.listens and covers(self.types, topic) and (self.scope is Scope.ALL or owner == self.user_id)

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        """Return the sealed secrets that deliveries are signed with, the newest first."""
        if self.former_secret is None or self.former_until is None or now >= self.former_until:
            return (self.secret,)
        return self.secret, self.former_secret


class Webhook:
    """One webhook. Commands append what they decide to what `collect_events` returns; asking again changes nothing."""

    TOPIC: ClassVar[str] = "webhook"

    def __init__(self, state: WebhookState) -> None:
        self.state = state
        self._pending: list[Event] = []

    @classmethod
    def create(
        cls,
        webhook_id: UUID,
        stamp: Stamp,
        *,
        user_id: str,
        scope: Scope,
        target: Target,
        types: Sequence[str],
        secret: str,
        request_hash: str | None = None,
    ) -> Self:
        """Start a stream."""
        event = happened.WebhookCreated(
            originator_id=webhook_id,
            originator_version=1,
            **metadata(stamp),
            user_id=user_id,
            scope=scope,
            target=target,
            types=tuple(types),
            secret=secret,
            request_hash=request_hash,
        )
        webhook = cls(begun(event))
        webhook._pending.append(event)
        return webhook

    def collect_events(self) -> Sequence[Event]:
        """Return what was decided since the last call, oldest first, and forget it."""
        pending, self._pending = self._pending, []
        return pending

    def change(self, stamp: Stamp, *, target: Target | None = None, types: Sequence[str] | None = None) -> None:
        """Give it another address or other types; what is None stays."""
        wanted = tuple(types) if types is not None else self.state.types
        if target is not None or wanted != self.state.types:
            self._trigger(happened.WebhookChanged, stamp, target=target or self.state.target, types=wanted)

    def enable(self, stamp: Stamp) -> None:
        """Have it told of events again."""
        if not self.state.enabled:
            self._trigger(happened.WebhookEnabled, stamp)

    def disable(self, stamp: Stamp, *, reason: str | None = None) -> None:
        """Have it told of nothing until it is enabled."""
        if self.state.listens:
            self._trigger(happened.WebhookDisabled, stamp, reason=reason)

    def rotate(self, stamp: Stamp, secret: str) -> None:
        """Sign with another secret, for a day with both."""
        self._trigger(happened.SecretRotated, stamp, secret=secret, former_until=stamp.at + FORMER_SECRET_LASTS)

    def delete(self, stamp: Stamp) -> None:
        """Have it told of nothing any more."""
        if self.state.deleted_at is None:
            self._trigger(happened.WebhookDeleted, stamp)

    def test(self, stamp: Stamp) -> None:
        """Have something delivered to it."""
        self._trigger(happened.WebhookTested, stamp)

    def redeliver(self, stamp: Stamp, delivery_id: UUID) -> None:
        """Have a delivery tried again."""
        self._trigger(happened.RedeliveryRequested, stamp, delivery_id=delivery_id)

    def _trigger(self, event: type[happened.WebhookEvent], stamp: Stamp, **fields: Any) -> None:
        decided = event(
            originator_id=self.state.webhook_id,
            originator_version=self.state.version + 1,
            **metadata(stamp),
            **fields,
        )
        apply(self.state, decided)
        self._pending.append(decided)


def begun(event: happened.WebhookCreated) -> WebhookState:
    """Return the state that the first event of a stream leaves."""
    return WebhookState(
        webhook_id=event.originator_id,
        version=event.originator_version,
        user_id=event.user_id,
        scope=event.scope,
        target=event.target,
        types=event.types,
        secret=event.secret,
        created_at=event.at,
        changed_at=event.at,
    )


def apply(state: WebhookState, event: Event) -> None:
    """Take in an event; one that is known already changes nothing."""
    if event.originator_version <= state.version:
        return
    state.version = event.originator_version
    match event:
        case happened.WebhookChanged():
            state.target, state.types = event.target, event.types
        case happened.WebhookEnabled():
            state.enabled, state.disabled_reason = True, None
        case happened.WebhookDisabled():
            state.enabled, state.disabled_reason = False, event.reason
        case happened.SecretRotated():
            state.former_secret, state.former_until, state.secret = state.secret, event.former_until, event.secret
        case happened.WebhookDeleted():
            state.enabled, state.deleted_at = False, event.at
        case _:
            return  # tests and redeliveries leave it as it is
    state.changed_at = event.at


def fold(state: WebhookState | None, events: Iterable[Event]) -> WebhookState | None:
    """Return what events leave of a webhook, None when there are none."""
    for event in events:
        if isinstance(event, happened.WebhookCreated) and state is None:
            state = begun(event)
        elif state is not None:
            apply(state, event)
    return state


WEBHOOK_TOPICS = tuple(topic for topic in EVENTS.topics if topic.startswith(f"{Webhook.TOPIC}."))
"""Every event of a webhook."""
