"""The worker's heartbeat: a bootstep of its parent process, so that it goes on while all children are busy."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psutil
import redis
import structlog
from celery import bootsteps, signals
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request

from services.executor import process
from services.executor.queues import POINTERS
from services.executor.replacing import Replacing
from services.executor.stamps import utc_now
from services.executor.usage import Meter
from shared.heartbeats import (
    INTERVAL,
    SEEN_KEY,
    TTL,
    WORKERS_KEY,
    ActiveRun,
    WorkerHeartbeat,
    heartbeat_key,
    last_heartbeat_key,
)

LOOK_EVERY = timedelta(milliseconds=100)
"""Time between two looks at the children."""

logger = structlog.get_logger()


class Beacon(bootsteps.StartStopStep):
    """Writes the heartbeat every second, from a thread of its own: also while the worker finishes its last tasks.

    Nobody takes the key away. It expires when the worker is gone, however it went. A copy stays for longer; one that
    leaves says so there. `started_at` tells this worker from others of its name; one that is `draining` takes nothing
    more, and is ended from here once nothing is in hand. To others a worker that got SIGTERM is draining as well.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Consumer, **_: Any) -> None:
        parent.beacon = self  # type: ignore[attr-defined]  # where control commands find it
        self.started_at = utc_now()
        self.draining = False
        self._processed = 0
        self._meter = Meter(psutil.Process())
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._children: dict[ActiveRun, int] = {}
        self._dead: dict[ActiveRun, float] = {}
        self._replacing = Replacing()
        self._redis = redis.Redis.from_url(process.settings().redis_url, socket_timeout=1, socket_connect_timeout=1)

    def start(self, parent: Consumer) -> None:
        """Begin, before the first message is taken; a consumer that starts again finds it at work."""
        if self._thread is None:
            self._beat(parent)
            self._thread = threading.Thread(target=self._keep_beating, args=(parent,), name="beacon", daemon=True)
            self._thread.start()
            self._meter.start()
            signals.worker_shutdown.connect(lambda **_: self._say_goodbye(parent), weak=False)

    def _keep_beating(self, parent: Consumer) -> None:
        beat_at = time.monotonic()
        while not self._end.wait(LOOK_EVERY.total_seconds()):
            if self._has_lost_a_child(parent) or time.monotonic() >= beat_at:
                beat_at = time.monotonic() + INTERVAL.total_seconds()
                self._beat(parent)
            if self.draining and not state.reserved_requests and not state.active_requests:
                state.should_stop = os.EX_OK  # type: ignore[assignment]  # an exit code, as its stubs do not know

    def _say_goodbye(self, parent: Consumer) -> None:
        """Write the last heartbeat, after the last task, when no other one can come after it."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._write(msgspec.structs.replace(self._heartbeat(parent), left=True))

    def _has_lost_a_child(self, parent: Consumer) -> bool:
        """Tell whether a child has died under its run since the last look, and have the pool replace the dead ones."""
        now = time.monotonic()
        self._dead = {run: at for run, at in self._dead.items() if now - at < TTL.total_seconds()}
        seen, self._children = self._children, dict(_children())
        # Those of the last look too: the pool may have been faster, and have taken a dead child's run off its list.
        known = seen | self._children
        found = {run: child for run, child in known.items() if run not in self._dead and _is_dead(child)}
        if found:
            self._dead |= dict.fromkeys(found, now)
            logger.error("worker.child_died", runs=[str(run.task_id) for run in found])
        self._replacing.look(
            found.values(),
            lambda: parent.pool._pool,
            lambda maintain: parent.hub.call_soon(maintain),  # type: ignore[attr-defined]  # threads have none
        )
        return bool(found)

    def _beat(self, parent: Consumer) -> None:
        self._write(self._heartbeat(parent))

    def _heartbeat(self, parent: Consumer) -> WorkerHeartbeat:
        own, usage = process.settings(), self._meter.latest
        leaving = self.draining or state.should_stop is not None
        return WorkerHeartbeat(
            name=parent.hostname,
            host=socket.gethostname(),
            pid=os.getpid(),
            pool=own.worker_pool,
            concurrency=own.worker_concurrency,
            queues=() if leaving else own.queues,
            started_at=self.started_at,
            at=utc_now(),
            active=tuple(_run(request) for request in _requests()),
            dead=tuple(self._dead),
            processed=self._count_processed(),
            cpu_percent=usage.cpu_percent,
            rss_bytes=usage.rss_bytes,
            uss_bytes=usage.uss_bytes,
            draining=leaving,
        )

    def _count_processed(self) -> int:
        """Return how many attempts are over: what was taken up, without what is at work; a race never counts back."""
        taken_up = sum(state.total_count[name] for name in POINTERS)
        at_work = sum(request.name in POINTERS for request in tuple(state.active_requests))
        self._processed = max(self._processed, taken_up - at_work)
        return self._processed

    def _write(self, heartbeat: WorkerHeartbeat) -> None:
        encoded, seen_at = msgspec.json.encode(heartbeat), heartbeat.at.timestamp()
        seen_for = timedelta(seconds=process.settings().worker_seen_seconds)
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                if not heartbeat.left:
                    pipeline.sadd(WORKERS_KEY, heartbeat.name)
                    pipeline.set(heartbeat_key(heartbeat.name), encoded, px=TTL)
                pipeline.set(last_heartbeat_key(heartbeat.name), encoded, px=seen_for)
                pipeline.zadd(SEEN_KEY, {heartbeat.name: seen_at})
                pipeline.zremrangebyscore(SEEN_KEY, "-inf", seen_at - seen_for.total_seconds())
                pipeline.execute()
        except redis.RedisError as error:
            logger.warning("heartbeat.not_written", error=str(error))


def _requests() -> list[Request]:
    """Return the messages that this worker has received and not yet acknowledged."""
    return [request for request in tuple(state.reserved_requests) if request.name in POINTERS]


def _run(request: Request) -> ActiveRun:
    branch = request.kwargs.get("branch")
    return ActiveRun(
        task_id=UUID(request.kwargs["task_id"]),
        attempt=request.kwargs["attempt"],
        branch_id=UUID(branch["id"]) if branch else None,
    )


def _children() -> Iterator[tuple[ActiveRun, int]]:
    """Yield the attempts at work and the process that each runs in; none in a pool of threads."""
    if process.settings().worker_pool == "prefork":
        yield from ((_run(each), int(each.worker_pid)) for each in _requests() if each.worker_pid is not None)


def _is_dead(child: int) -> bool:
    """Tell whether a child has ended, without taking its exit code from the pool, which waits for it."""
    try:
        return psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
