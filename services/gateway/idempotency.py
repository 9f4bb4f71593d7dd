"""What is sent twice under one key is accepted once: the key names the ids, and what the first request appended under
them tells that they are taken, and by which request (docs/rules.md, "Idempotency")."""

import hashlib
from typing import Annotated
from uuid import UUID, uuid4, uuid5

import msgspec
from fastapi import Header
from pydantic import BaseModel

from services.gateway.credentials import Caller
from shared.domain.errors import BlotterError, InvalidInput, KeyReused, NotFound, Refused, VersionConflict
from shared.domain.events import Event
from shared.log.async_event_log import AsyncEventLog

PATTERN = r"^[\x21-\x7e]{1,200}$"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=PATTERN,
        description="Up to 200 visible ASCII characters. The same key and body from the same user answers what the "
        "first request made again, as it is now (200); with another body, or for another thing, it is refused (409).",
    ),
]

PERHAPS_ANSWERED = (VersionConflict, NotFound, InvalidInput, Refused)
"""Errors that a request with a key may meet because it was accepted before: not only a conflict, since what it is
checked against may have changed since then."""


class IdempotencyKeys:
    """Nothing is remembered here: the ids of a user's key are the same in every replica, and after a restart."""

    def __init__(self, log: AsyncEventLog, namespace: UUID) -> None:
        self._log = log
        self._namespace = namespace

    def ids(self, caller: Caller, key: str | None, count: int = 1) -> list[UUID]:
        """Return the ids that belong to a user's key, or new ones without a key."""
        if key is None:
            return [uuid4() for _ in range(count)]
        return [uuid5(self._namespace, f"{caller.user_id}\n{key}\n{index}") for index in range(count)]

    async def first(self, made: UUID, digest: str | None, error: BlotterError) -> Event:
        """Return the first event of a stream that an earlier request of the same key and body has made.

        Raises `error` when there is none, or no key was sent, and KeyReused when the request was another one.
        """
        if digest is None:
            raise error
        recorded = await self._log.streams([made], limit=1)
        if not recorded:
            raise error
        event = recorded[0].event
        if getattr(event, "request_hash", None) != digest:
            raise KeyReused(
                "This Idempotency-Key stands for another request of yours: send that one's body, or take a new key."
            )
        return event


def request_hash(kind: str, body: BaseModel, key: str | None) -> str | None:
    """Return the SHA-256 of what was sent under a key: as it was given, keys sorted, defaults not filled in.

    None without a key.
    """
    if key is None:
        return None
    text = msgspec.json.encode([kind, body.model_dump(exclude_unset=True)], order="sorted")
    return hashlib.sha256(text).hexdigest()
