"""A pause, on a real log, a real Redis and messages that Celery sent: no worker finds what it holds back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import msgspec
import pytest
import redis
import sqlalchemy as sa

from services.executor.app import create_app
from services.executor.dispatching import DISPATCHER, Dispatcher
from services.executor.pointers import CelerySender, message_id
from services.executor.policy import DispatchPolicy
from services.executor.reconciler import INTERVAL, RedisScout
from services.executor.settings import ExecutorSettings
from services.executor.store import LiveRunStore
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.log.event_log import EventLog
from shared.settings import sqlalchemy_url
from tests.builders import WORKER, stamp, submitted
from tests.proxy import Proxy
from tests.unit.executor.bench import Clock

HIGH, NORMAL, LOW = Priority
POLICY = DispatchPolicy(window=20, max_losses=3)


class Desk:
    """A log, a Redis, and a dispatcher that works when it is told to."""

    def __init__(self, log: EventLog, engine: sa.Engine, database_url: str, redis_url: str, way: Proxy) -> None:
        self.log, self.way = log, way
        self.redis = redis.Redis.from_url(redis_url)
        self.clock = Clock()
        self.urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        url = way.url_of(redis_url.replace("redis://", "redis://default@")).replace("default@", "")
        self.celery = create_app(ExecutorSettings(database_url="postgresql://nobody@localhost/none", redis_url=url))
        self._client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._sender = CelerySender(self.celery, self._client)
        self._store = LiveRunStore(engine, DISPATCHER)
        self.queues = {level: Queue(level) for level in Priority}
        self.restart()

    def restart(self) -> None:
        """Begin again with what was committed."""
        scout = RedisScout(self._client)
        self.dispatcher = Dispatcher(self.log, self._store, self._sender, scout, POLICY, now=self.clock)
        self._position = self.dispatcher.start()

    def turn(self) -> None:
        """Follow the log to its end, look at Redis, and write down what was sent."""
        if batch := self.log.read(self._position, topics=self.dispatcher.topics):
            self.dispatcher.process(batch)
            self._position = batch[-1].position
        for _ in range(2):
            self.clock.forward(seconds=INTERVAL.total_seconds())
            self.dispatcher.tick()

    def submit(self, level: Priority, *, claimed: bool = False) -> WorkflowExecution:
        """Put a run into the log; one that is claimed has lost its worker, and goes on."""
        run = submitted(priority=level)
        if claimed:
            run.claim(stamp(1), attempt=1, worker=WORKER)
            run.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="it died", max_losses=3)
        self.log.save_execution(run)
        return run

    def pause(self, level: Priority) -> None:
        """Append a pause."""
        self.queues[level].pause(stamp(), reason="the venue is down")
        self.log.append(self.queues[level].collect_events())

    def resume(self, level: Priority) -> None:
        """Append a resumption."""
        self.queues[level].resume(stamp())
        self.log.append(self.queues[level].collect_events())

    def lying_in(self, *queues: str) -> list[str]:
        """The ids of the messages in these queues, in the order in which workers would take them."""
        found = [raw for queue in queues for raw in reversed(cast(list[bytes], self.redis.lrange(queue, 0, -1)))]
        return [msgspec.json.decode(raw)["headers"]["id"] for raw in found]


def pointers(*runs: WorkflowExecution) -> list[str]:
    """The ids of the messages that point at the next attempts of runs."""
    return [message_id(run.id, run.attempts + 1) for run in runs]


@pytest.fixture
def desk(migrated_database_url: str, redis_url: str) -> Iterator[Desk]:
    """A desk on an empty log and an empty Redis."""
    engine, server = sa.create_engine(sqlalchemy_url(migrated_database_url)), urlsplit(redis_url)
    with EventLog(migrated_database_url) as log, Proxy(str(server.hostname), server.port or 6379) as way:
        yield Desk(log, engine, migrated_database_url, redis_url, way)
    engine.dispose()


RUNS_OF_HIGH = ("high.resume", "high")


def test_pointers_that_lie_in_redis_are_taken_out_and_come_back_with_the_resumption(desk: Desk) -> None:
    """Of the level's two queues, and no other ones; the window is filled again at once."""
    first, gone_on = desk.submit(HIGH), desk.submit(HIGH, claimed=True)
    normal = desk.submit(NORMAL)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(gone_on, first)
    desk.pause(HIGH)
    late = desk.submit(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == []
    assert desk.lying_in("normal") == pointers(normal)
    desk.resume(HIGH)
    desk.turn()
    assert set(desk.lying_in("high.resume")) == set(pointers(first, gone_on))
    assert desk.lying_in("high") == pointers(late)
    assert desk.lying_in("normal") == pointers(normal)


def test_messages_of_others_are_left_where_they_are(desk: Desk) -> None:
    """What Celery has to do beside runs, and what is no message at all."""
    desk.celery.send_task("maintenance.clean_up", queue="maintenance")
    desk.redis.lpush("high", b"no message")
    desk.pause(HIGH)
    desk.turn()
    desk.turn()
    assert (desk.redis.llen("maintenance"), desk.redis.llen("high")) == (1, 1)


def test_a_pause_outlasts_the_dispatcher(desk: Desk) -> None:
    """The next one knows of it from its own table, and sends nothing of the level, old or new, until it is resumed."""
    old = desk.submit(HIGH)
    desk.pause(HIGH)
    desk.turn()
    desk.restart()
    new = desk.submit(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == []
    desk.restart()
    desk.resume(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(old, new)
    desk.restart()
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(old, new)


def test_a_wiped_redis_does_not_end_a_pause(desk: Desk) -> None:
    """All pointers are sent again but those that are held back."""
    high, normal = desk.submit(HIGH), desk.submit(NORMAL)
    desk.pause(HIGH)
    desk.turn()
    desk.redis.flushdb()
    desk.turn()
    desk.turn()
    assert (desk.lying_in(*RUNS_OF_HIGH), desk.lying_in("normal", "normal.resume")) == ([], pointers(normal))
    desk.resume(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(high)


def test_a_pointer_that_comes_back_into_the_queue_is_taken_out_again(desk: Desk) -> None:
    """As Celery gives one back whose worker has died with it in hand."""
    desk.submit(HIGH)
    desk.turn()
    (message,) = cast(list[bytes], desk.redis.lrange("high", 0, -1))
    desk.pause(HIGH)
    desk.turn()
    desk.redis.rpush("high", message)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == []


def test_a_redis_that_is_away_when_a_level_is_paused_is_cleared_when_it_is_back(desk: Desk) -> None:
    """The pause is committed all the same; what lies there is taken out at the first look that shows it."""
    run = desk.submit(HIGH)
    desk.turn()
    desk.pause(HIGH)
    desk.way.cut()
    desk.turn()
    desk.way.mend()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(run)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == []


def test_a_run_of_a_paused_level_is_cancelled_and_stays_away(desk: Desk) -> None:
    """It leaves the dispatcher's table, and does not come back with the resumption."""
    run, other = desk.submit(HIGH), desk.submit(HIGH)
    desk.turn()
    desk.pause(HIGH)
    desk.turn()
    run.request_cancel(stamp(3))
    desk.log.save_execution(run)
    desk.turn()
    desk.resume(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(other)


def test_a_dispatcher_that_dies_before_it_has_taken_pointers_back_leaves_it_to_the_next(desk: Desk) -> None:
    """kill -9 between the commit of the pause and the removal: the next one clears before it does anything else."""
    run, normal = desk.submit(HIGH), desk.submit(NORMAL)
    desk.turn()
    desk.pause(HIGH)
    command = [sys.executable, "-m", "tests.integration.executor.doomed_dispatcher"]
    doomed = subprocess.Popen(command, env=os.environ | desk.urls)
    try:
        assert doomed.wait(60) == -signal.SIGKILL
    finally:
        doomed.kill()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(run)
    desk.restart()
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == []
    assert desk.lying_in("normal") == pointers(normal)
    desk.resume(HIGH)
    desk.turn()
    assert desk.lying_in(*RUNS_OF_HIGH) == pointers(run)
