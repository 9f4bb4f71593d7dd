"""How each part of the system does, as far as the database and Redis tell."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from redis.exceptions import RedisError

from services.status import projector, relay
from services.status.notifier import NOTIFIER
from services.status.resources import Resources
from services.status.tables import positions
from shared.domain.errors import Unavailable
from shared.heartbeats import PREFIX, SCHEDULER_KEY
from shared.log.follower import IS_ACTIVE, lock_key
from shared.log.positions import read_position
from shared.log.recorder import EVENTS_TABLE, SCHEMA

FOLLOWERS = {
    "projector": projector.PROJECTOR,
    "relay": relay.RELAY,
    "notifier": NOTIFIER,
    "alerter": "status.alerter",
    "dispatcher": "executor.dispatcher",
    "results": "executor.results",
    "orders": "executor.orders",
}
"""The parts that follow the log, or what is published of it, and the names whose locks they hold while they do."""
MEASURED = {"projector": projector.TOPICS, "relay": relay.TOPICS}
"""Those that keep their positions here, and the topics that they follow."""
LAG_LIMIT = 100_000
"""Where counting the events that a follower has still to take in stops."""
TIMEOUT_SECONDS = 3.0

Part = dict[str, Any]

_EVENTS = sa.table(EVENTS_TABLE, sa.column("notification_id"), sa.column("topic"), schema=SCHEMA)


async def parts(resources: Resources) -> dict[str, Part]:
    """Return every part by name, each with `up` and what explains it; never raises."""
    of_database, of_redis = await asyncio.gather(
        _or_down(_database_parts(resources), ("database", *FOLLOWERS)),
        _or_down(_redis_parts(resources), ("redis", "workers", "scheduler")),
    )
    return of_database | of_redis


async def _or_down(answers: Awaitable[dict[str, Part]], names: tuple[str, ...]) -> dict[str, Part]:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await answers
    except TimeoutError:
        detail = f"no answer within {TIMEOUT_SECONDS:g} s"
    except (Unavailable, RedisError) as error:
        detail = str(error.__cause__ or error).partition("\n")[0]
    unknown = {name: {"up": False, "detail": f"not known: {names[0]} is away"} for name in names[1:]}
    return {names[0]: {"up": False, "detail": detail}} | unknown


async def _database_parts(resources: Resources) -> dict[str, Part]:
    found = await resources.tables.ask(_followers)
    for part, topics in MEASURED.items():
        behind, position = found[part]["lag_events"], found[part]["position"]
        found[part]["lag_seconds"] = await _waited(resources, position, topics) if behind else 0.0
    return {"database": {"up": True, "detail": None}, **found}


async def projector_lag(resources: Resources, position: int) -> Part:
    """Return how much of the log is beyond a position of the projector, and for how long the first of it has been."""
    behind = await resources.tables.ask(_events_after, position, projector.TOPICS)
    waited = await _waited(resources, position, projector.TOPICS) if behind else 0.0
    return {"projection_lag_events": behind, "projection_lag_seconds": waited}


async def _waited(resources: Resources, position: int, topics: Sequence[str]) -> float:
    pending = await resources.log.read(position, limit=1, topics=topics)
    return max(0.0, (datetime.now(UTC) - pending[0].event.at).total_seconds()) if pending else 0.0


def _events_after(connection: sa.Connection, position: int, topics: Sequence[str]) -> int:
    events = sa.select(sa.literal(1)).select_from(_EVENTS)
    events = events.where(_EVENTS.c.notification_id > position, _EVENTS.c.topic.in_(topics)).limit(LAG_LIMIT)
    return connection.scalar(sa.select(sa.func.count()).select_from(events.subquery())) or 0


def _followers(connection: sa.Connection) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for part, follower in FOLLOWERS.items():
        up = bool(connection.exec_driver_sql(IS_ACTIVE, (lock_key(follower),)).scalar())
        found[part] = {"up": up, "detail": None if up else f"no process follows the log as {follower}"}
    for part, topics in MEASURED.items():
        position = read_position(connection, positions, FOLLOWERS[part])
        found[part] |= {"position": position, "lag_events": _events_after(connection, position, topics)}
    return found


async def _redis_parts(resources: Resources) -> dict[str, Part]:
    redis = resources.redis
    # A set, because SCAN may return a key twice.
    count = len({key async for key in redis.scan_iter(match=f"{PREFIX}*", count=1_000)})
    scheduler = bool(await redis.exists(SCHEDULER_KEY))
    return {
        "redis": {"up": True, "detail": None},
        "workers": {"up": count > 0, "count": count, "detail": None if count else "no worker has sent a heartbeat"},
        "scheduler": {"up": scheduler, "detail": None if scheduler else "the scheduler has not said that it lives"},
    }
