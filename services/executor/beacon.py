"""The worker's heartbeat: a bootstep of its parent process, so that it goes on while all children are busy."""

import os
import socket
import threading
from typing import Any
from uuid import UUID

import msgspec
import redis
import structlog
from celery import bootsteps
from celery.worker import state
from celery.worker.consumer import Consumer

from services.executor import process
from services.executor.queues import RUN
from services.executor.stamps import utc_now
from shared.heartbeats import INTERVAL, TTL, WORKERS_KEY, ActiveRun, WorkerHeartbeat, heartbeat_key

logger = structlog.get_logger()


class Beacon(bootsteps.StartStopStep):
    """Writes the heartbeat every second, from a thread of its own: also while the worker finishes its last tasks.

    Nobody takes the key away. It expires when the worker is gone, however it went.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Consumer, **_: Any) -> None:
        self._started_at = utc_now()
        self._thread: threading.Thread | None = None
        self._redis = redis.Redis.from_url(process.settings().redis_url, socket_timeout=1, socket_connect_timeout=1)

    def start(self, parent: Consumer) -> None:
        """Begin, before the first message is taken; a consumer that starts again finds it at work."""
        if self._thread is None:
            self._beat(parent)
            self._thread = threading.Thread(target=self._keep_beating, args=(parent,), name="beacon", daemon=True)
            self._thread.start()

    def _keep_beating(self, parent: Consumer) -> None:
        pause = threading.Event()
        while not pause.wait(INTERVAL.total_seconds()):
            self._beat(parent)

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
            active=_active_runs(),
        )
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.sadd(WORKERS_KEY, heartbeat.name)
                pipeline.set(heartbeat_key(heartbeat.name), msgspec.json.encode(heartbeat), px=TTL)
                pipeline.execute()
        except redis.RedisError as error:
            logger.warning("heartbeat.not_written", error=str(error))


def _active_runs() -> tuple[ActiveRun, ...]:
    """Return the attempts whose messages this worker has received and not yet acknowledged."""
    return tuple(
        ActiveRun(task_id=UUID(request.kwargs["task_id"]), attempt=request.kwargs["attempt"])
        for request in tuple(state.reserved_requests)
        if request.name == RUN
    )
