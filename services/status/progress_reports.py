"""What workers say of their steps, as they say it, for gateways that pass it on."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.result_backend import PROGRESS_CHANNEL

HEARTBEAT = timedelta(seconds=1)
"""Silence after which an empty line is sent; also the time in which the end is noticed."""

logger = structlog.get_logger()


class ProgressReports:
    """Listens to Redis once for each that asks; nothing is kept, and what nobody hears is gone."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._closed = False

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield each `ProgressReport` as a line of JSON, and empty lines in silence; end with Redis, or by `close`.

        The first line, an empty one, says that Redis answers.
        """
        try:
            async with self._redis.pubsub() as channel:
                await channel.subscribe(PROGRESS_CHANNEL)
                while not self._closed:
                    message = await channel.get_message(timeout=HEARTBEAT.total_seconds())
                    yield (message["data"] if message and message["type"] == "message" else b"") + b"\n"
        except RedisError as error:
            logger.warning("progress.not_heard", error=str(error))

    def close(self) -> None:
        """End all that listen, now and later: the service stops."""
        self._closed = True
