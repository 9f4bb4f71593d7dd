"""Publishes events to Redis Streams, with FastStream, and knows in Redis itself how far that has come.

`POSITION_KEY` is written in the transaction that adds the entries. So whoever reads it knows what the streams hold: a
Redis that was wiped has no such key, one that was set back to an older state has an older position. Each transaction
goes through only if the key still is as this publisher left it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec
from faststream.redis import RedisBroker
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import WatchError

from shared.cloud_events import cloud_event
from shared.log.runs import Recorded
from shared.published.streams import STREAMS, stream_of

POSITION_KEY = "blotter:relay:position"
"""The position of the last event that the streams hold, or held before they were trimmed."""
REDIS_TIMEOUT_SECONDS = 5.0
JSON = "application/json"

Answer = TypeVar("Answer")

_encode = msgspec.json.Encoder().encode


class StreamsMoved(Exception):
    """The streams do not end where this publisher left them: Redis was wiped or set back, or another one publishes."""


class StreamPublisher:
    """The streams on one Redis, for code that may block; one thread at a time.

    `retention` is how long entries stay, `max_length` about how many stay in each stream if that is less. Every method
    raises `redis.RedisError` when Redis is away or full.
    """

    def __init__(self, redis_url: str, *, retention: timedelta, max_length: int) -> None:
        self._broker = RedisBroker(
            redis_url,
            logger=logging.getLogger(__name__),
            log_level=logging.DEBUG,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            # The follower begins again, from what Redis says then; and nothing keeps it from stopping.
            retry=Retry(NoBackoff(), 0),
        )
        self._retention = retention
        self._max_length = max_length
        self._runner = asyncio.Runner()

    def position(self) -> int | None:
        """Return the position of the last event in the streams, None in a Redis that nothing was published to."""
        return self._run(_position)

    def publish(self, batch: Sequence[Recorded], *, after: int) -> None:
        """Add events to their streams, all or none, if these end at position `after`. Raises StreamsMoved."""

        async def add(pipeline: Pipeline) -> None:
            for recorded in batch:
                await self._add(recorded, pipeline)

        self._move(add, found=after, to=batch[-1].position)

    def claim(self, position: int, *, found: int | None) -> None:
        """Say that the streams end at `position`, if they say `found` of themselves now. Raises StreamsMoved."""

        async def nothing(_: Pipeline) -> None: ...

        self._move(nothing, found=found, to=position)

    def trim(self) -> int:
        """Remove what is older than the retention, by the clock of Redis; return how many entries that were.

        Redis removes whole nodes of a stream, so that some entries stay a little longer.
        """

        async def trim(redis: Redis) -> int:
            seconds, microseconds = await redis.time()
            kept = self._retention.total_seconds()
            oldest = f"{max(0, int((seconds - kept) * 1_000 + microseconds / 1_000))}-0"
            return sum([await redis.xtrim(stream, minid=oldest, approximate=True) for stream in STREAMS])

        return self._run(trim)

    def close(self) -> None:
        """Let go of Redis."""
        self._runner.run(self._broker.stop())
        self._runner.close()

    def _run(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        async def connected() -> Answer:
            return await work(await self._broker.connect())

        return self._runner.run(connected())

    def _move(self, add: Callable[[Pipeline], Awaitable[None]], *, found: int | None, to: int) -> None:
        async def move(redis: Redis) -> None:
            async with redis.pipeline(transaction=True) as pipeline:
                await pipeline.watch(POSITION_KEY)
                if (there := await _position(pipeline)) != found:
                    raise StreamsMoved(f"the streams end at {there}, and not at {found}")
                pipeline.multi()  # type: ignore[no-untyped-call]
                await add(pipeline)
                pipeline.set(POSITION_KEY, to)
                try:
                    await pipeline.execute()
                except WatchError as error:
                    raise StreamsMoved(f"the streams do not end at {found} any more") from error

        self._run(move)

    async def _add(self, recorded: Recorded, pipeline: Pipeline) -> None:
        document = cloud_event(recorded)
        headers = {"content-type": JSON, "message_id": document["id"]}
        if trace := recorded.event.trace:
            headers["traceparent"] = trace
        await self._broker.publish(
            _encode(document),
            stream=stream_of(recorded.event.TOPIC),
            headers=headers,
            correlation_id=document["id"],
            maxlen=self._max_length,
            pipeline=pipeline,
        )


async def _position(redis: Redis) -> int | None:
    found = await redis.get(POSITION_KEY)
    return None if found is None else int(found)
