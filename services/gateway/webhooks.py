"""Webhooks are written, changed, tested and deleted; what is delivered to them the notifier sees to."""

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller, NotYourWebhook, Role
from services.gateway.idempotency import PERHAPS_ANSWERED, IdempotencyKeys, request_hash
from services.gateway.paths import delivery_not_found, webhook_not_found
from services.gateway.problems import invalid_input
from services.gateway.queries import WebhookQuery
from services.gateway.status_client import StatusClient
from services.gateway.webhook_bodies import SECRET_PREFIX, WebhookChange, WebhookRequest
from shared.domain.errors import FieldError, Forbidden, Unavailable
from shared.domain.events import Stamp
from shared.domain.webhook import Webhook, WebhookState, fold
from shared.domain.webhook_events import Scope, Target
from shared.log.async_event_log import AsyncEventLog
from shared.sealing import Sealer
from shared.targets import Networks, target_faults

SECRET_BYTES = 32

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """A webhook and its secret, which is shown only now; `again` when an earlier request of the same key made it."""

    state: WebhookState
    secret: str | None
    again: bool = False


class Webhooks:
    """Appends to a webhook's stream what its owner decides."""

    def __init__(
        self,
        log: AsyncEventLog,
        status: StatusClient,
        keys: IdempotencyKeys,
        sealer: Sealer,
        networks: Networks,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._status = status
        self._keys = keys
        self._sealer = sealer
        self._networks = networks
        self._now = now

    async def create(self, caller: Caller, body: WebhookRequest, key: str | None) -> Revealed:
        """Record a webhook. Raises InvalidInput, Forbidden, KeyReused and Unavailable."""
        (webhook_id,) = self._keys.ids(caller, key)
        digest = request_hash("webhook", body, key)
        target, scope = self._target(body.url), scope_of(caller, body.scope)
        secret = body.secret or new_secret()
        webhook = Webhook.create(
            webhook_id,
            stamp_of(caller, self._now()),
            user_id=caller.user_id,
            scope=scope,
            target=target,
            types=tuple(dict.fromkeys(body.types)),
            secret=self._sealer.seal(secret),
            request_hash=digest,
        )
        try:
            await self._log.append(webhook.collect_events())
        except PERHAPS_ANSWERED as error:
            await self._keys.first(webhook_id, digest, error)
            return Revealed(state=await self._state(webhook_id), secret=None, again=True)
        return Revealed(state=webhook.state, secret=secret)

    async def change(self, caller: Caller, webhook_id: UUID, body: WebhookChange) -> WebhookState:
        """Give a webhook another address or other types, enable or disable it. Raises what `create` and `own` raise."""
        target = None if body.url is None else self._target(body.url)

        def command(webhook: Webhook, stamp: Stamp) -> None:
            known = target is not None and self._sealer.open(webhook.state.target.url) == body.url
            webhook.change(stamp, target=None if known else target, types=body.types)
            match body.enabled:
                case True:
                    webhook.enable(stamp)
                case False:
                    webhook.disable(stamp)

        return await self._decide(caller, webhook_id, command)

    async def delete(self, caller: Caller, webhook_id: UUID) -> WebhookState:
        """Have a webhook told of nothing any more. Raises what `own` raises."""
        return await self._decide(caller, webhook_id, Webhook.delete)

    async def rotate(self, caller: Caller, webhook_id: UUID) -> Revealed:
        """Give a webhook another secret; the former one signs as well for a day. Raises what `own` raises."""
        secret = new_secret()
        sealed = self._sealer.seal(secret)
        state = await self._decide(caller, webhook_id, lambda webhook, stamp: webhook.rotate(stamp, sealed))
        return Revealed(state=state, secret=secret)

    async def test(self, caller: Caller, webhook_id: UUID) -> WebhookState:
        """Have something delivered to a webhook now. Raises what `own` raises."""
        return await self._decide(caller, webhook_id, Webhook.test)

    async def redeliver(self, caller: Caller, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any]:
        """Have a delivery tried again from its beginning. Raises NotFound and what `own` raises."""
        delivery = await self.delivery(caller, webhook_id, delivery_id)
        await self._decide(caller, webhook_id, lambda webhook, stamp: webhook.redeliver(stamp, delivery_id))
        return delivery

    async def own(self, caller: Caller, webhook_id: UUID) -> WebhookState:
        """Return a webhook of the caller, or any for an admin. Raises NotFound, NotYourWebhook and Unavailable."""
        state = await self._state(webhook_id)
        if state.user_id != caller.user_id and not caller.role.covers(Role.ADMIN):
            raise NotYourWebhook(f"Webhook {webhook_id} belongs to {state.user_id}: only they and admins may use it.")
        return state

    async def webhooks(self, caller: Caller, query: WebhookQuery) -> dict[str, Any]:
        """Return a page of the caller's webhooks, or for an admin of all. Raises InvalidInput and Unavailable."""
        parameters = query.parameters()
        if not caller.role.covers(Role.ADMIN):
            parameters = [*(each for each in parameters if each[0] != "user_id"), ("user_id", caller.user_id)]
        page = await self._listed(self._status.webhooks(parameters))
        return {"items": [self.document(state) for state in page.items], "next_cursor": page.next_cursor}

    async def deliveries(self, caller: Caller, webhook_id: UUID, parameters: list[tuple[str, str | int]]) -> bytes:
        """Return a page of a webhook's deliveries as JSON. Raises InvalidInput and what `own` raises."""
        await self.own(caller, webhook_id)
        return await self._listed(self._status.deliveries(webhook_id, parameters))

    async def delivery(self, caller: Caller, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any]:
        """Return a delivery with its tries. Raises NotFound and what `own` raises."""
        await self.own(caller, webhook_id)
        found = await self._listed(self._status.delivery(webhook_id, delivery_id))
        if found is None:
            raise delivery_not_found(delivery_id)
        return found

    def document(self, state: WebhookState) -> dict[str, Any]:
        """Return a webhook as `GET /api/webhooks/{webhook_id}` answers it. Raises Unavailable without the key."""
        return {
            "webhook_id": state.webhook_id,
            "url": self._sealer.open(state.target.url),
            "types": state.types,
            "scope": state.scope,
            "enabled": state.enabled,
            "disabled_reason": state.disabled_reason,
            "user_id": state.user_id,
            "created_at": state.created_at,
            "changed_at": state.changed_at,
        }

    async def _decide(
        self, caller: Caller, webhook_id: UUID, command: Callable[[Webhook, Stamp], None]
    ) -> WebhookState:
        async def attempt() -> WebhookState:
            webhook = Webhook(await self.own(caller, webhook_id))
            command(webhook, stamp_of(caller, self._now()))
            if events := webhook.collect_events():
                await self._log.append(events)
            return webhook.state

        return await until_agreed(attempt)

    async def _state(self, webhook_id: UUID) -> WebhookState:
        state = fold(None, (recorded.event for recorded in await self._log.streams([webhook_id])))
        if state is None or state.webhook_id != webhook_id or state.deleted_at is not None:
            raise webhook_not_found(webhook_id)
        return state

    async def _listed(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except Unavailable as error:
            raise Unavailable(
                "Lists of webhooks and deliveries need the status service, which does not answer: try again in a "
                "moment. A webhook can be read and changed without it."
            ) from error

    def _target(self, url: str) -> Target:
        if faults := target_faults(url, self._networks):
            raise invalid_input(FieldError("url", fault) for fault in faults)
        return Target(url=self._sealer.seal(url), host=str(urlsplit(url).hostname))


def new_secret() -> str:
    """Return a secret by the Standard Webhooks specification."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def scope_of(caller: Caller, wanted: Scope | None) -> Scope:
    """Return whose events the caller is told of. Raises Forbidden for everybody's, unless for an admin."""
    may = Scope.ALL if caller.role.covers(Role.ADMIN) else Scope.OWN
    if wanted is Scope.ALL and may is Scope.OWN:
        raise Forbidden("Only admins are told of everybody's events: leave scope out, or set it to own.")
    return wanted or may
