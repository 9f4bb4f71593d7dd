"""Follows the log and has the workers leave that somebody decided about, by telling them until they have heard it.

What it has seen is its position, which stays where it is as long as a worker has yet to hear of something: whoever
starts after a crash reads that again, and tells it again, which is harmless.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import redis
import sqlalchemy as sa
import structlog

from services.executor.queues import DRAIN_WORKER
from services.executor.tables import positions
from shared.domain.worker_events import DrainRequested
from shared.heartbeats import WorkerHeartbeat, decode_heartbeats, heartbeat_key, last_heartbeat_key
from shared.log.positions import advance, read_position, unseen
from shared.log.runs import Recorded

DRAINS = "executor.drains"
REMIND_AFTER = timedelta(seconds=1)
GIVE_UP_AFTER = timedelta(minutes=10)
"""When a worker of which nothing is known is taken to be gone: a Redis that lost everything soon knows it again."""

logger = structlog.get_logger()


class Teller(Protocol):
    """Sends control commands; `services.executor.commands` does by Celery."""

    def tell(self, worker: str, command: str, arguments: Mapping[str, Any]) -> None:
        """Send a command to the one worker of this name; it may get lost."""


class Drains:
    """The handler that a `Follower` feeds."""

    name = DRAINS
    topics: Sequence[str] = (DrainRequested.TOPIC,)

    def __init__(
        self, engine: sa.Engine, client: redis.Redis, commands: Teller, *, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._redis = client
        self._commands = commands
        self._now = now
        self._position = self._seen = 0
        self._pending: dict[str, DrainRequested] = {}
        self._look_at = now()

    def start(self) -> int:
        """Return the position up to which every request was heard."""
        with self._engine.connect() as connection:
            self._position = self._seen = read_position(connection, positions, self.name)
        self._pending.clear()
        return self._position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in what was requested; of two requests for one name the later counts."""
        for position, event in unseen(batch, self._seen):
            if isinstance(event, DrainRequested):
                self._pending[event.name] = event
            self._seen, self._look_at = position, self._now()

    def tick(self) -> timedelta | None:
        """Tell workers what they have not heard, and move on when all have; return the time until more is due."""
        now = self._now()
        if self._pending and now >= self._look_at:
            self._look_at = now + REMIND_AFTER
            self._tell(now)
        if not self._pending and self._seen > self._position:
            with self._engine.begin() as connection:
                advance(connection, positions, self.name, after=self._position, position=self._seen)
            self._position = self._seen
        return self._look_at - now if self._pending else None

    def _tell(self, now: datetime) -> None:
        try:
            living, last = (self._heartbeats(key) for key in (heartbeat_key, last_heartbeat_key))
        except redis.RedisError as error:
            logger.warning("drains.blind", error=str(error))
            return
        for name, request in list(self._pending.items()):
            if is_settled(request, last.get(name) or living.get(name), now):
                del self._pending[name]
            elif name in living:
                self._commands.tell(name, DRAIN_WORKER, {"started_at": request.started_at.isoformat()})

    def _heartbeats(self, key: Callable[[str], str]) -> dict[str, WorkerHeartbeat]:
        return decode_heartbeats(cast(list[bytes | None], self._redis.mget([key(name) for name in self._pending])))


def is_settled(request: DrainRequested, known: WorkerHeartbeat | None, now: datetime) -> bool:
    """Tell whether nobody is left to be told: the worker has heard it, has left, or is another one by now.

    `known` is the last heartbeat under its name. One that is silent is waited for as long as it is remembered.
    """
    if known is None:
        return now - request.at > GIVE_UP_AFTER
    return known.draining or known.left or known.started_at != request.started_at
