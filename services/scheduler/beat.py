"""The scheduler that `celery beat` runs: entries in memory, and a sign of life in Redis."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import redis
import sqlalchemy as sa
import structlog
from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from services.scheduler.scheduling import Scheduling
from services.scheduler.settings import SchedulerSettings
from services.scheduler.snapshots import SnapshotStore
from services.scheduler.timetables import timetable
from shared.heartbeats import SCHEDULER_KEY, SCHEDULER_TTL
from shared.log.clock import DatabaseClock, database_time
from shared.log.event_log import EventLog
from shared.log.positions import ASYNCHRONOUS_COMMIT
from shared.log.recorder import BY_INDEX
from shared.objects import open_store

CONNECT_SECONDS = 3

logger = structlog.get_logger()


class BlotterScheduler(Scheduler):
    """Beat's own scheduler for the entries of the configuration, beside the schedules that users have in the log.

    The former are fixed, so that a restart forgets nothing but the time of the last probe, and only the first of
    several beats sends them. The latter follow the log. Redis is spoken to on a thread of its own, for no schedule is
    to wait for it.
    """

    max_interval = 1

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._scheduling = create_scheduling(SchedulerSettings())
        self._redis = redis.Redis.from_url(self.app.conf.broker_url, socket_timeout=1, socket_connect_timeout=1)
        self._stop = threading.Event()
        self._upkeep = threading.Thread(target=self._keep_house, name="upkeep", daemon=True)

    def setup_schedule(self) -> None:
        """Take the entries of the configuration."""
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due, and wait until more is; beat need not sleep then."""
        if not self._upkeep.is_alive():
            self._upkeep.start()
        self._scheduling.round(timedelta(seconds=self.max_interval), wait=self._stop.wait)
        return 0.0

    def _keep_house(self) -> None:
        """Say at least once a second that beat is alive, and send the entries of the configuration that are due."""
        wait = 0.0
        while not self._stop.wait(wait):
            wait = float(self.max_interval)
            try:
                self._redis.set(SCHEDULER_KEY, "1", px=SCHEDULER_TTL)
                if self._scheduling.leads:
                    wait = min(wait, super().tick())
            except (redis.RedisError, OperationalError) as error:
                logger.warning("scheduler.redis_away", error=str(error))

    def close(self) -> None:
        """Let the next beat move up."""
        self._stop.set()
        self._scheduling.close()
        super().close()


def create_scheduling(settings: SchedulerSettings) -> Scheduling:
    """Return what fires the schedules, composed; nothing has to be reachable yet."""
    options = {"options": ASYNCHRONOUS_COMMIT, "connect_timeout": CONNECT_SECONDS}
    return Scheduling(
        EventLog(settings.database_url, open_store=partial(open_store, settings)),
        SnapshotStore(sa.create_engine(settings.sqlalchemy_url, connect_args=options, pool_pre_ping=True)),
        connect=partial(
            psycopg.connect,
            settings.database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            options=BY_INDEX,
        ),
        times_of=timetable,
        result_ttl_seconds=settings.result_ttl_seconds,
        now=DatabaseClock(partial(database_time, settings.database_url)).adjusted,
    )
