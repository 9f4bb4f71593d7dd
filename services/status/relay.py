"""The relay: follows the log and publishes it to Redis Streams, for whoever subscribes.

Events are added to their streams in the order of the log, and the position is moved after that: a crash in between
publishes some again, and loses none. Subscribers tell repeated events by the CloudEvent's `source` and `id`. What Redis
has lost is published again, as far back as `resume_from` says.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import redis
import sqlalchemy as sa
import structlog

from services.status.database import create_engine
from services.status.notifier.resuming import remembered_by_notifier
from services.status.publishing import StreamPublisher, StreamsMoved
from services.status.resuming import Remembered, resume_from
from services.status.settings import StatusSettings
from services.status.tables import positions
from shared.domain.events import EVENTS
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.positions import ASYNCHRONOUS_COMMIT, advance, read_position, unseen
from shared.log.process import run_followers
from shared.log.runs import Recorded
from shared.logging import configure_logging
from shared.objects import open_store
from shared.telemetry import configure_telemetry

RELAY = "status.relay"
TOPICS = EVENTS.topics
"""All that the log holds."""
PACE = timedelta(milliseconds=10)
LOOK_EVERY = timedelta(seconds=1)
"""How often a quiet relay asks Redis whether it still holds what was published."""
TRIM_EVERY = timedelta(seconds=10)

logger = structlog.get_logger()


class Relay:
    """The handler that a `Follower` feeds."""

    name = RELAY
    topics: Sequence[str] = TOPICS

    def __init__(
        self,
        log: EventLog,
        engine: sa.Engine,
        streams: StreamPublisher,
        *,
        retention: timedelta,
        remembered: Sequence[Remembered] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._engine = engine
        self._streams = streams
        self._retention = retention
        self._remembered = remembered
        self._now = now
        self._position = 0
        self._look_at = self._trim_at = 0.0

    def start(self) -> int:
        """Return the position from which to go on, by what the database and the streams say.

        A Redis that is behind the database has lost something, one that is ahead of it was given a batch whose position
        was not committed.
        """
        with self._engine.begin() as connection:
            committed, published = read_position(connection, positions, self.name), self._streams.position()
            if committed and published is not None:
                target = min(committed, published)
            else:
                target = self._resumed(connection, committed)
            advance(connection, positions, self.name, after=committed, position=target)
        # After the commit: as long as the key says what it said before, a crash here begins again.
        if published != target:
            logger.info("relay.resumed", published=published, committed=committed, position=target)
            self._streams.claim(target, found=published)
        self._position = target
        return target

    def process(self, batch: Sequence[Recorded]) -> None:
        """Publish a batch, then move the position.

        Raises StreamsMoved and AlreadyProcessed, `redis.RedisError` when Redis is away or full: then it comes again.
        """
        new = unseen(batch, self._position)
        if not new:
            return
        self._streams.publish(new, after=self._position)
        with self._engine.begin() as connection:
            advance(connection, positions, self.name, after=self._position, position=new[-1].position)
        self._position = new[-1].position

    def tick(self) -> timedelta | None:
        """Look whether Redis has lost anything, and remove what is too old. Raises StreamsMoved."""
        now = time.monotonic()
        try:
            if now >= self._look_at:
                self._look_at = now + LOOK_EVERY.total_seconds()
                self._look()
            if now >= self._trim_at:
                self._trim_at = now + TRIM_EVERY.total_seconds()
                self._streams.trim()
        except redis.RedisError as error:
            logger.warning("relay.blind", error=str(error))
        return timedelta(seconds=max(0.0, min(self._look_at, self._trim_at) - now))

    def _look(self) -> None:
        published = self._streams.position()
        if published != self._position:
            raise StreamsMoved(f"the streams end at {published}, and not at {self._position}")

    def _resumed(self, connection: sa.Connection, committed: int) -> int:
        since = self._now() - self._retention
        return resume_from(connection, self._log, reached=committed, remembered=self._remembered, since=since)


def main() -> None:
    """Follow the log until SIGTERM or SIGINT."""
    settings = StatusSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry(RELAY, settings.telemetry_options)
    log = EventLog(settings.database_url, open_store=partial(open_store, settings))
    engine = create_engine(settings.sqlalchemy_url, options=ASYNCHRONOUS_COMMIT)
    retention = settings.stream_retention
    streams = StreamPublisher(settings.redis_url, retention=retention, max_length=settings.stream_max_length)
    relay = Relay(log, engine, streams, retention=retention, remembered=[remembered_by_notifier(log)])
    try:
        run_followers([Follower(log, settings.database_url, relay, pace=PACE)])
    finally:
        streams.close()
        engine.dispose()
        log.close()


if __name__ == "__main__":
    main()
