"""What the fake status service tells of webhooks; `tests/contract/test_status_webhooks.py` holds it to the real one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from uuid import UUID

from services.status.notifier.audience import Recipient, topic_of
from shared.domain.webhook import Webhook, WebhookState


class FakeWebhooks:
    """The webhooks as they were shown last, and what is to be delivered to them."""

    def __init__(self) -> None:
        self._states: dict[UUID, WebhookState] = {}
        self._deliveries: dict[UUID, dict[str, Any]] = {}

    def show(self, webhook: Webhook) -> None:
        """Project a webhook as it is now."""
        self._states[webhook.state.webhook_id] = deepcopy(webhook.state)

    def deliver(self, recipient: Recipient, event: dict[str, Any], body: str, at: str) -> None:
        """Have an event on its way, due at once and not tried yet."""
        delivery_id = recipient.delivery_id(event["id"])
        self._deliveries[delivery_id] = {
            "target_id": recipient.target_id,
            "shown": {
                "delivery_id": str(delivery_id),
                "event_id": event["id"],
                "type": topic_of(event),
                "position": event["position"],
                "state": "pending",
                "attempts": 0,
                "created_at": at,
                "due_at": at,
                "ended_at": None,
                "last_status": None,
                "last_error": None,
            },
            "body": body,
        }

    def states(self, user_id: str | None) -> list[WebhookState]:
        """Return those that are not deleted, newest first."""
        states = [state for state in self._states.values() if state.deleted_at is None]
        states = [state for state in states if user_id in (None, state.user_id)]
        return sorted(states, key=lambda state: (state.created_at, state.webhook_id), reverse=True)

    def deliveries(self, webhook_id: UUID, state: str | None, before: int) -> list[dict[str, Any]]:
        """Return what is to be delivered to a webhook of events before a position, newest first."""
        shown = [each["shown"] for each in self._deliveries.values() if each["target_id"] == webhook_id]
        shown = [each for each in shown if each["position"] < before and state in (None, each["state"])]
        return sorted(shown, key=lambda each: int(each["position"]), reverse=True)

    def delivery(self, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any] | None:
        """Return one delivery, with no tries."""
        found = self._deliveries.get(delivery_id)
        if found is None or found["target_id"] != webhook_id:
            return None
        return {**found["shown"], "body": found["body"], "tries": []}
