"""The workers that live, as their heartbeats tell."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from services.status.quiet_redis import QuietRedis
from shared.heartbeats import FULL_LIMITS_KEY, WORKERS_KEY, WorkerHeartbeat, decode_heartbeats, heartbeat_key


class Workers(msgspec.Struct, frozen=True):
    """Those of them that serve one queue: how many runs they take at once, and which they have."""

    slots: int
    active: tuple[UUID, ...]

    @property
    def are_busy(self) -> bool:
        """Tell whether every slot is taken."""
        return len(self.active) >= self.slots


class Heartbeats:
    """Reads the heartbeats of workers, what the dispatcher says of limits, and how much lies in queues."""

    def __init__(self, redis: QuietRedis) -> None:
        self._redis = redis

    async def workers(self, queue: str) -> Workers | None:
        """Return the living workers that serve `queue`, None when Redis does not answer."""
        beats = await self.all()
        return None if beats is None else serving(beats, queue)

    async def all(self) -> Mapping[str, WorkerHeartbeat] | None:
        """Return the heartbeats of the living workers by name, None when Redis does not answer."""
        return await self._redis.ask(_read)

    async def length(self, queue: str) -> int | None:
        """Return how many messages lie in a queue, None when Redis does not answer."""
        return await self._redis.ask(lambda redis: redis.llen(queue))

    async def full_limits(self) -> frozenset[str]:
        """Return the keys of limits for whose places runs wait, none when Redis does not answer."""
        told = await self._redis.ask(lambda redis: redis.get(FULL_LIMITS_KEY))
        return frozenset(msgspec.json.decode(told, type=list[str])) if told else frozenset()


async def _read(redis: Redis) -> Mapping[str, WorkerHeartbeat]:
    names = cast(set[bytes], await redis.smembers(WORKERS_KEY))
    keys = [heartbeat_key(name.decode()) for name in names]
    return decode_heartbeats(cast(list[bytes | None], await redis.mget(keys)) if keys else ())


def serving(beats: Mapping[str, WorkerHeartbeat], queue: str) -> Workers:
    """Return those of `beats` that take runs from `queue`."""
    found = [beat for beat in beats.values() if queue in beat.queues]
    return Workers(sum(beat.concurrency for beat in found), tuple(run.task_id for beat in found for run in beat.active))
