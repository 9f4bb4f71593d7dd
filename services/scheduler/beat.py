"""The scheduler that `celery beat` runs: entries in memory, and a sign of life in Redis."""

from typing import Any

import redis
import structlog
from celery.beat import Scheduler

from shared.heartbeats import SCHEDULER_KEY, SCHEDULER_TTL

logger = structlog.get_logger()


class BlotterScheduler(Scheduler):
    """Beat's own scheduler without its file on disk; it wakes once a second to say that it is alive.

    Entries are fixed in the application's configuration, so that a restart forgets nothing but the time of the last
    probe.
    """

    max_interval = 1

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._redis = redis.Redis.from_url(self.app.conf.broker_url, socket_timeout=1, socket_connect_timeout=1)

    def setup_schedule(self) -> None:
        """Take the entries of the configuration."""
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *arguments: Any, **keywords: Any) -> float:
        """Send what is due and return the seconds until more is, one at most."""
        try:
            self._redis.set(SCHEDULER_KEY, "1", px=SCHEDULER_TTL)
        except redis.RedisError as error:
            logger.warning("scheduler.sign_of_life_not_written", error=str(error))
        wait: float = super().tick(*arguments, **keywords)
        return min(wait, float(self.max_interval))
