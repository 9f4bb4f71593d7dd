"""The worker's heartbeat: a bootstep of its parent process, so that it goes on while all children are busy."""

import os
import socket
from typing import Any

import msgspec
import redis
import structlog
from celery import bootsteps
from celery.worker.consumer import Consumer

from services.executor import process
from services.executor.stamps import utc_now
from shared.heartbeats import INTERVAL, TTL, WorkerHeartbeat, heartbeat_key

logger = structlog.get_logger()


class Beacon(bootsteps.StartStopStep):
    """Writes the heartbeat every second; the key expires by itself when the worker is gone."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Consumer, **_: Any) -> None:
        self._started_at = utc_now()
        self._timer: Any = None
        self._redis = redis.Redis.from_url(process.settings().redis_url, socket_timeout=1, socket_connect_timeout=1)

    def start(self, parent: Consumer) -> None:
        """Begin, at once."""
        self._beat(parent)
        self._timer = parent.timer.call_repeatedly(INTERVAL.total_seconds(), self._beat, (parent,))

    def stop(self, parent: Consumer) -> None:
        """Stop, and take the key away: this worker has left on purpose."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._redis.delete(heartbeat_key(parent.hostname))
        except redis.RedisError as error:
            logger.warning("heartbeat.not_removed", error=str(error))

    def _beat(self, parent: Consumer) -> None:
        own = process.settings()
        heartbeat = WorkerHeartbeat(
            name=parent.hostname,
            host=socket.gethostname(),
            pid=os.getpid(),
            pool=own.worker_pool,
            concurrency=own.worker_concurrency,
            queues=own.queues,
            started_at=self._started_at,
            at=utc_now(),
        )
        try:
            self._redis.set(heartbeat_key(parent.hostname), msgspec.json.encode(heartbeat), px=TTL)
        except redis.RedisError as error:
            logger.warning("heartbeat.not_written", error=str(error))
