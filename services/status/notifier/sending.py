"""One try of one delivery: to a webhook, signed with what is its secret now, or to a person's channel."""

import asyncio
import json
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from services.status.notifier.audience import WEBHOOK
from services.status.notifier.channels import Channels
from services.status.notifier.messages import body_of, title_of
from services.status.notifier.posting import Outcome, Poster
from services.status.notifier.records import Due
from services.status.notifier.signing import signed_headers
from services.status.tables import notification_preferences, webhooks
from services.status.webhook_projection import decode_preferences, decode_webhook
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.domain.notification_events import Channel
from shared.domain.webhook import Webhook, WebhookState, fold
from shared.log.event_log import EventLog
from shared.sealing import Sealer

ACTOR = "status:notifier"


class NotWanted(Exception):
    """Nobody wants the delivery any more; the text says why."""


class Sender:
    """Sends to targets as they are configured at the moment of the try."""

    def __init__(self, log: EventLog, engine: sa.Engine, poster: Poster, channels: Channels, sealer: Sealer) -> None:
        self._log = log
        self._engine = engine
        self._poster = poster
        self._channels = channels
        self._sealer = sealer

    async def send(self, due: Due, now: datetime) -> Outcome:
        """Try once. Raises NotWanted, Unavailable when a secret cannot be opened, and what the database raises."""
        if due.kind == WEBHOOK:
            return await self._post(due, now)
        channel = await asyncio.to_thread(self._channel, due)
        event = json.loads(due.body)
        return await self._channels.tell(self._sealer.open(channel.url), title=title_of(event), body=body_of(event))

    async def disable(self, webhook_id: UUID, reason: str) -> None:
        """Have a webhook told of nothing more, in the log."""
        await asyncio.to_thread(self._disable, webhook_id, reason)

    async def _post(self, due: Due, now: datetime) -> Outcome:
        state = await asyncio.to_thread(self._webhook, due.target_id)
        secrets = [self._sealer.open(each) for each in state.secrets_at(now)]
        headers = signed_headers(due.event_id, due.body, at=now, secrets=secrets)
        return await self._poster.post(self._sealer.open(state.target.url), due.body, headers)

    def _webhook(self, webhook_id: UUID) -> WebhookState:
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(webhooks.c.state).where(webhooks.c.webhook_id == webhook_id))
        state = None if text is None else decode_webhook(text)
        if state is None or state.deleted_at is not None:
            raise NotWanted("the webhook was deleted")
        if not state.enabled:
            raise NotWanted("the webhook is disabled")
        return state

    def _channel(self, due: Due) -> Channel:
        of_user = notification_preferences.c.user_id == due.user_id
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(notification_preferences.c.preferences).where(of_user))
        channels = () if text is None else decode_preferences(text).channels
        for channel in channels:
            if channel.channel_id == due.target_id:
                return channel
        raise NotWanted("the channel was removed")

    def _disable(self, webhook_id: UUID, reason: str) -> None:
        state = fold(None, self._log.stream(webhook_id))
        if state is None:
            return
        webhook = Webhook(state)
        webhook.disable(Stamp(at=self._log.now(), actor=ACTOR), reason=reason)
        if events := webhook.collect_events():
            with suppress(VersionConflict):  # somebody has just decided about it: a later answer says it again
                self._log.append(events)
