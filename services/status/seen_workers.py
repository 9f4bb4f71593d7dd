"""The workers that were there lately, and how they do: what the API tells people, never what anybody decides by."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from redis.asyncio import Redis

from services.status.quiet_redis import QuietRedis
from shared.domain.errors import Unavailable
from shared.domain.workers import UNRESPONSIVE_AFTER, WorkerView, worker_state
from shared.heartbeats import (
    SEEN_KEY,
    WORKERS_KEY,
    WorkerHeartbeat,
    decode_heartbeats,
    heartbeat_key,
    last_heartbeat_key,
)

Heartbeats = Mapping[str, WorkerHeartbeat]


async def seen_workers(redis: QuietRedis) -> list[WorkerView]:
    """Return those that live and those that did lately, by name. Raises Unavailable when Redis does not answer."""
    found = await redis.ask(_read)
    if found is None:
        raise Unavailable("What workers say of themselves is in Redis, which does not answer. Try again in a moment.")
    return worker_views(*found, datetime.now(UTC))


def worker_views(living: Heartbeats, last: Heartbeats, now: datetime) -> list[WorkerView]:
    """Return how workers look by their heartbeats of these seconds and by the copies that outlast them, by name."""
    return [_view(living.get(name), last.get(name), now) for name in sorted(living.keys() | last.keys())]


def _view(living: WorkerHeartbeat | None, last: WorkerHeartbeat | None, now: datetime) -> WorkerView:
    # Of an older worker that took the name of one that keeps copies, the copy is not the last word.
    beat = max((each for each in (last, living) if each is not None), key=lambda each: each.at)
    silence = _silence(beat, now, alive=living is not None)
    return WorkerView(
        name=beat.name,
        host=beat.host,
        pid=beat.pid,
        pool=beat.pool,
        concurrency=beat.concurrency,
        queues=beat.queues,
        state=worker_state(silence, draining=beat.draining, left=beat.left),
        active=tuple(run.task_id for run in beat.active),
        processed=beat.processed,
        cpu_percent=beat.cpu_percent,
        rss_bytes=beat.rss_bytes,
        uss_bytes=beat.uss_bytes,
        started_at=beat.started_at,
        last_heartbeat_at=beat.at,
    )


def _silence(beat: WorkerHeartbeat, now: datetime, *, alive: bool) -> timedelta:
    """Return how long a worker has been silent; whether it lives Redis knows by its own clock, not by the worker's."""
    return timedelta() if alive else max(UNRESPONSIVE_AFTER, now - beat.at)


async def _read(redis: Redis) -> tuple[Heartbeats, Heartbeats]:
    names = await redis.smembers(WORKERS_KEY) | set(await redis.zrange(SEEN_KEY, 0, -1))
    workers = [name.decode() for name in cast(set[bytes], names)]
    if not workers:
        return {}, {}
    keys = [*map(heartbeat_key, workers), *map(last_heartbeat_key, workers)]
    values = cast(list[bytes | None], await redis.mget(keys))
    return decode_heartbeats(values[: len(workers)]), decode_heartbeats(values[len(workers) :])
