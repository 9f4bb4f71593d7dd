"""Webhooks, and published events, for tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from services.status.notifier.audience import WEBHOOK, Recipient
from shared.domain.notification_events import PreferencesChanged, preferences_id
from shared.domain.webhook import Webhook
from shared.domain.webhook_events import Scope, Target
from shared.sealing import Sealer
from tests.builders import stamp

KEY = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
SEALER = Sealer(KEY)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def webhook(
    url: str = "https://example.com/hook",
    *,
    second: float = 0,
    user: str = "ann",
    scope: Scope = Scope.OWN,
    types: tuple[str, ...] = ("execution.failed",),
    webhook_id: UUID | None = None,
) -> Webhook:
    """A webhook, whose events are not collected yet."""
    return Webhook.create(
        webhook_id or uuid4(),
        stamp(second, actor=f"user:{user}"),
        user_id=user,
        scope=scope,
        target=Target(url=SEALER.seal(url), host="example.com"),
        types=types,
        secret=SEALER.seal(SECRET),
    )


def preferences(user: str = "ann", *, admin: bool = False, **changes: Any) -> PreferencesChanged:
    """What a user says for the first time, without channels unless `changes` have some."""
    fields: dict[str, Any] = {
        "originator_id": preferences_id(user),
        "originator_version": 1,
        "at": stamp(0).at,
        "actor": f"user:{user}",
        "append_id": uuid4(),
        "user_id": user,
        "admin": admin,
        "channels": (),
    }
    return PreferencesChanged(**(fields | changes))


def recipient(of: Webhook) -> Recipient:
    """The webhook as a target."""
    return Recipient(kind=WEBHOOK, target_id=of.state.webhook_id, user_id=of.state.user_id)


def published(topic: str = "execution.failed", *, position: int = 1, subject: str | None = None) -> dict[str, Any]:
    """An event as the relay publishes it."""
    about = subject or str(uuid4())
    return {
        "specversion": "1.0",
        "id": f"{about}:{position}",
        "source": "urn:blotter:log",
        "type": f"blotter.{topic}",
        "subject": about,
        "time": "2026-01-30T14:30:00Z",
        "datacontenttype": "application/json",
        "position": position,
        "actor": "executor:w1",
        "data": {"failure": {"type": "ValueError", "message": "no bars"}, "step": "bars", "symbol": "AAPL"},
    }
