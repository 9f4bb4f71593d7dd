"""Redis, for what an answer can do without."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

PATIENCE_SECONDS = 0.5

_T = TypeVar("_T")

logger = structlog.get_logger()


class QuietRedis:
    """Asks Redis; when it is away or slow there is no answer, and that is logged once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._away = False

    async def ask(self, question: Callable[[Redis], Awaitable[_T]]) -> _T | None:
        """Return what `question` returns, None when Redis does not answer in time."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await question(self._redis)
        except (RedisError, TimeoutError) as error:
            if not self._away:
                logger.warning("redis.away", error=str(error))
            self._away = True
            return None
        self._away = False
        return answer
