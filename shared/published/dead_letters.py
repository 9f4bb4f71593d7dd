"""Puts messages aside that a handler has failed on too often, so that they do not come for ever."""

from typing import Any

import structlog
from faststream import BaseMiddleware
from faststream.exceptions import AckMessage
from faststream.redis import RedisBroker

from shared.published.streams import dead_letters

MAX_LENGTH = 10_000
"""About how many messages a stream of dead letters keeps, the newest ones."""

logger = structlog.get_logger()


class DeadLetters:
    """A middleware for the subscriber that claims what was not acknowledged.

    Redis counts how often it has delivered a message, also to processes that died of it. The count is looked at before
    the message is parsed: what cannot be parsed is put aside too. With `deliveries` None nothing is.
    """

    def __init__(self, broker: RedisBroker, stream: str, group: str, *, deliveries: int | None) -> None:
        self._broker = broker
        self._stream = stream
        self._group = group
        self._deliveries = deliveries

    def __call__(self, message: Any, *, context: Any) -> BaseMiddleware[Any, Any]:
        """Return the middleware of one message."""
        return _Middleware(message, context=context, letters=self)

    async def put_aside(self, message_id: bytes, fields: dict[bytes, bytes]) -> bool:
        """Move a message to the dead letters and acknowledge it, at once; return False when it may be tried again."""
        if self._deliveries is None:
            return False
        redis = await self._broker.connect()
        pending = await redis.xpending_range(self._stream, self._group, message_id, message_id, 1)
        if not pending or int(pending[0]["times_delivered"]) <= self._deliveries:
            return False
        letter = fields | {b"id": message_id, b"deliveries": str(self._deliveries).encode()}
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.xadd(dead_letters(self._stream, self._group), letter, maxlen=MAX_LENGTH)  # type: ignore[arg-type]
            pipeline.xack(self._stream, self._group, message_id)
            await pipeline.execute()
        logger.error("subscription.dead_letter", stream=self._stream, group=self._group, id=message_id.decode())
        return True


class _Middleware(BaseMiddleware[Any, Any]):
    def __init__(self, message: Any, /, *, context: Any, letters: DeadLetters) -> None:
        super().__init__(message, context=context)
        self._letters = letters

    async def on_receive(self) -> None:
        (message_id,) = self.msg["message_ids"]
        if await self._letters.put_aside(message_id, self.msg["data"]):
            raise AckMessage
