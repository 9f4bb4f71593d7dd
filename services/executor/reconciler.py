"""Asks Redis what workers and queues hold, for the dispatcher to compare with the live runs."""

import uuid
from datetime import timedelta
from typing import Protocol, cast

import redis
import structlog

from services.executor.messages import decode
from services.executor.queues import CONSUMED
from services.executor.reconciling import Sighting
from shared.heartbeats import GENERATION_KEY, WORKERS_KEY, decode_heartbeats, heartbeat_key

INTERVAL = timedelta(milliseconds=250)
"""Time between two looks. With a heartbeat's life of 3 s, a dead worker is found within 3.5 s."""

logger = structlog.get_logger()


class Scout(Protocol):
    """Looks at what the workers say and what the queues hold."""

    def look(self) -> Sighting | None:
        """Return what is there, None when Redis does not answer."""


class RedisScout:
    """Looks at a real Redis, in two round trips."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def look(self) -> Sighting | None:
        """Return what is there, None when Redis does not answer."""
        try:
            return self._look()
        except redis.RedisError as error:
            logger.warning("reconciler.blind", error=str(error))
            return None

    def _look(self) -> Sighting:
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(GENERATION_KEY, str(uuid.uuid4()), nx=True)
            pipeline.get(GENERATION_KEY)
            pipeline.smembers(WORKERS_KEY)
            for queue in CONSUMED:
                pipeline.lrange(queue, 0, -1)
            _, generation, names, *queues = pipeline.execute()
        workers = sorted(name.decode() for name in names)
        keys = [heartbeat_key(name) for name in workers]
        beats = decode_heartbeats(cast(list[bytes | None], self._redis.mget(keys)) if keys else ())
        if silent := [name for name in workers if name not in beats]:
            self._redis.srem(WORKERS_KEY, *silent)
        return Sighting(
            generation=generation.decode(),
            workers=beats,
            queued=frozenset(decode(name, raw).id for name, held in zip(CONSUMED, queues, strict=True) for raw in held),
        )
