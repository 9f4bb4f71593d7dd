"""How the caller wants to be told of things: read from the log, written to it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller, Role
from services.gateway.problems import invalid_input
from services.gateway.webhook_bodies import ChannelBody, PreferencesRequest
from services.gateway.webhooks import scope_of
from shared.domain.deciding import metadata
from shared.domain.errors import FieldError
from shared.domain.notification_events import (
    NOTIFICATION_TOPICS,
    Channel,
    PreferencesChanged,
    default_types,
    preferences_id,
)
from shared.domain.webhook_events import Scope
from shared.log.async_event_log import AsyncEventLog
from shared.sealing import Sealer

SCHEMES = (
    *("discord", "gchat", "json", "jsons", "mailto", "mailtos", "msteams", "ntfy", "ntfys", "opsgenie", "pagerduty"),
    *("pover", "slack", "tgram", "workflows"),
)
"""Of Apprise's: those that lead to a service, and none that runs something, writes to a file or to this machine."""


class Notifications:
    """One user's preferences at a time."""

    def __init__(self, log: AsyncEventLog, sealer: Sealer, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._sealer = sealer
        self._now = now

    async def preferences(self, caller: Caller) -> dict[str, Any]:
        """Return the caller's preferences; URLs of channels are not shown again. Raises Unavailable."""
        return document(await self._known(caller), caller)

    async def set(self, caller: Caller, body: PreferencesRequest) -> dict[str, Any]:
        """Replace the caller's preferences. Raises InvalidInput, Forbidden, VersionConflict and Unavailable."""
        scope = Scope.OWN if body.scope is None else scope_of(caller, body.scope)

        async def attempt() -> PreferencesChanged:
            known = await self._known(caller)
            event = PreferencesChanged(
                originator_id=preferences_id(caller.user_id),
                originator_version=known.originator_version + 1 if known else 1,
                **metadata(stamp_of(caller, self._now())),
                user_id=caller.user_id,
                admin=caller.role.covers(Role.ADMIN),
                channels=self._channels(body.channels, known.channels if known else ()),
                types=None if body.types is None else tuple(dict.fromkeys(body.types)),
                scope=scope,
            )
            await self._log.append([event])
            return event

        return document(await until_agreed(attempt), caller)

    async def _known(self, caller: Caller) -> PreferencesChanged | None:
        newest = await self._log.newest_of([preferences_id(caller.user_id)], NOTIFICATION_TOPICS)
        return next((event for event in newest if isinstance(event, PreferencesChanged)), None)

    def _channels(self, wanted: Sequence[ChannelBody], known: Sequence[Channel]) -> tuple[Channel, ...]:
        by_id: dict[UUID, Channel] = {channel.channel_id: channel for channel in known}
        channels, faults = [], []
        for number, each in enumerate(wanted):
            if (each.url is None) == (each.channel_id is None):
                faults.append(FieldError(f"channels.{number}", "needs a url, or the channel_id of one that stays"))
            elif each.channel_id is not None and each.channel_id not in by_id:
                faults.append(FieldError(f"channels.{number}.channel_id", "is none of your channels"))
            elif each.url is not None and (scheme := _scheme(each.url)) not in SCHEMES:
                faults.append(
                    FieldError(f"channels.{number}.url", f"must be an Apprise URL of one of {', '.join(SCHEMES)}")
                )
            elif each.url is not None:
                channels.append(Channel(channel_id=uuid4(), url=self._sealer.seal(each.url), scheme=scheme))
            elif each.channel_id is not None:
                channels.append(by_id[each.channel_id])
        if faults:
            raise invalid_input(faults)
        return tuple(channels)


def document(known: PreferencesChanged | None, caller: Caller) -> dict[str, Any]:
    """Return preferences as `GET /api/me/notifications` answers them, the defaults for one who has not said any."""
    return {
        "user_id": caller.user_id,
        "channels": [{"channel_id": each.channel_id, "scheme": each.scheme} for each in known.channels]
        if known
        else [],
        "types": known.wanted_types if known else default_types(admin=caller.role.covers(Role.ADMIN)),
        "default_types": known is None or known.types is None,
        "scope": known.scope if known else Scope.OWN,
    }


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return ""
