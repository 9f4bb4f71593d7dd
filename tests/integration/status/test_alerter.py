"""The alerter on real tables and a real Redis: what it raises, once each, and what it knows after it died."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import redis
import sqlalchemy as sa

from services.status.alert_policy import Watch
from services.status.alert_sampling import Sampler
from services.status.alert_settings import AlertSettings
from services.status.alerter import ALERTER, Alerter
from services.status.database import create_engine
from services.status.rebuild import Rebuild
from services.status.settings import StatusSettings
from shared.domain.alert import acknowledged, evolve
from shared.domain.alert_events import ALERT_TOPICS, AlertEvent, AlertKind
from shared.domain.events import Event
from shared.domain.failures import NEEDS_ATTENTION
from shared.domain.firing import Missed
from shared.domain.priority import Priority
from shared.log.event_log import EventLog
from shared.log.follower import IS_ACTIVE, lock_key
from tests.alerts import alert_raised, alert_resolved
from tests.builders import NOW, fail_next, failure, running, stamp, submitted
from tests.heartbeats import beat, heartbeat
from tests.integration.status.test_processes import process
from tests.projection_check import differences
from tests.schedule_builders import schedule
from tests.waiting import until

Project = Callable[[], None]

QUICK = {
    "BLOTTER_ALERT_BACKLOG_DEPTH": "2",
    "BLOTTER_ALERT_BACKLOG_AGE_SECONDS": "100000000000",
    "BLOTTER_ALERT_BACKLOG_SECONDS": "0",
    "BLOTTER_ALERT_CONSUMER_SECONDS": "100000",
    "BLOTTER_ALERT_LAG_SECONDS": "100000000000",
    "BLOTTER_ALERT_HOLD_SECONDS": "0",
}


@pytest.fixture
def engine(settings: StatusSettings) -> Iterator[sa.Engine]:
    """An engine with connections enough for a rebuild."""
    engine = create_engine(settings.sqlalchemy_url, pool_size=3)
    yield engine
    engine.dispose()


@pytest.fixture
def client(settings: StatusSettings) -> Iterator[redis.Redis]:
    """The Redis of the workers."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def events(log: EventLog) -> list[AlertEvent]:
    """What has happened to alerts."""
    return [each.event for each in log.read(0, topics=ALERT_TOPICS) if isinstance(each.event, AlertEvent)]


def told(log: EventLog) -> list[tuple[str, str, str]]:
    """The same in three words each."""
    return [(event.TOPIC, str(event.kind), event.subject) for event in events(log)]


class Desk:
    """An alerter that looks when it is told to, at moments of the test's choosing."""

    def __init__(
        self, settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis, **changes: float
    ) -> None:
        everything = settings.model_dump() | {
            "alert_backlog_age_seconds": 1e11,
            "alert_lag_seconds": 1e11,
            "alert_failed_window_seconds": 1e9,
            "alert_missed_window_seconds": 1e9,
        }
        self.now = datetime.now(UTC)
        known = AlertSettings(**(everything | changes))
        sampler, watch = Sampler(known, log, engine, client), Watch(known.patience)
        self.alerter = Alerter(log, engine, sampler, watch, now=lambda: self.now)
        self.alerter.start()

    def look(self, *, seconds: int) -> None:
        """Look each second for so long."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.alerter.look()


@pytest.fixture
def desk(settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis) -> Desk:
    """One that has started, beside a worker that lives and takes from every queue."""
    queues = ("high", "normal", "low", "maintenance")
    beat(client, heartbeat("steady@host", queues=queues, at=datetime.now(UTC)))
    return Desk(settings, log, engine, client)


def test_a_silent_worker_is_raised_and_resolved_when_it_is_back(desk: Desk, log: EventLog, client: redis.Redis) -> None:
    """Once each, however often one looks; the one that lives is not told of."""
    silent = heartbeat("silent@host", at=datetime.now(UTC))
    beat(client, silent, alive=False)
    desk.look(seconds=20)
    beat(client, silent)
    desk.look(seconds=20)
    name = ("worker_unresponsive", "silent@host")
    assert told(log) == [("alert.raised", *name), ("alert.resolved", *name)]


def test_a_worker_that_said_goodbye_is_not_missed(desk: Desk, log: EventLog, client: redis.Redis) -> None:
    """It left by itself, or was drained."""
    beat(client, heartbeat("left@host", at=datetime.now(UTC), left=True), alive=False)
    desk.look(seconds=40)
    assert told(log) == []


def test_a_wiped_redis_raises_nothing_about_workers(desk: Desk, log: EventLog, client: redis.Redis) -> None:
    """Nobody is missed; workers are back within a second, long before a queue counts as left alone."""
    for number in range(20):
        beat(client, heartbeat(f"w{number}@host", at=datetime.now(UTC)))
    desk.look(seconds=3)
    client.flushall()
    desk.look(seconds=5)
    beat(client, heartbeat("steady@host", queues=("high", "normal", "low", "maintenance"), at=datetime.now(UTC)))
    desk.look(seconds=20)
    assert told(log) == []


def test_without_redis_the_alerter_is_blind_and_says_nothing_of_workers(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """What the tables tell it still tells."""
    with redis.Redis(port=1) as nowhere:
        desk = Desk(settings, log, engine, nowhere)
        run = running()
        fail(log, run)
        project()
        desk.look(seconds=40)
    assert {(kind, subject) for _, kind, subject in told(log)} == {("task_failed", run.submitted.strategy_id)}


def fail(log: EventLog, *runs: object) -> None:
    """Let runs fail for good."""
    for run in runs:
        while not run.phase.ended:  # type: ignore[attr-defined]
            fail_next(run, stamp(5))  # type: ignore[arg-type]
        log.save_execution(run)  # type: ignore[arg-type]


def test_a_queue_that_nobody_takes_from_is_raised(desk: Desk, log: EventLog, client: redis.Redis) -> None:
    """Not before a while, and resolved as soon as a worker has been there for a while."""
    beat(client, heartbeat("steady@host", queues=("high", "normal", "maintenance"), at=datetime.now(UTC)))
    desk.look(seconds=10)
    assert told(log) == []
    desk.look(seconds=10)
    beat(client, heartbeat("low@host", queues=("low",), at=datetime.now(UTC)))
    desk.look(seconds=20)
    name = ("queue_without_consumer", "low")
    assert told(log) == [("alert.raised", *name), ("alert.resolved", *name)]


def test_many_failures_of_a_strategy_are_one_alert(desk: Desk, log: EventLog, project: Project) -> None:
    """It tells how many there are when it is raised, and stays one."""
    runs = [running(max_retries=0) for _ in range(20)]
    fail(log, *runs)
    project()
    desk.look(seconds=5)
    (event,) = events(log)
    assert (event.kind, event.subject) == (AlertKind.TASK_FAILED, runs[0].submitted.strategy_id)
    assert getattr(event, "value", None) == 20.0


def test_a_task_that_waits_for_too_long_is_raised_by_its_level(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis, project: Project
) -> None:
    """By the age of the oldest one, however few there are; resolved when it has its turn."""
    desk = Desk(settings, log, engine, client, alert_backlog_age_seconds=300)
    run = submitted(priority=Priority.LOW)
    log.save_execution(run)
    project()
    desk.look(seconds=15)
    of_level = ("queue_backlog", "low/age")
    assert ("alert.raised", *of_level) in told(log)
    run.claim(stamp(1), attempt=1, worker="executor@a")
    log.save_execution(run)
    project()
    desk.look(seconds=15)
    assert ("alert.resolved", *of_level) in told(log)


def test_a_projector_that_stands_still_is_raised(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis, project: Project
) -> None:
    """By the age of what it has not taken in; resolved when it has."""
    desk = Desk(settings, log, engine, client, alert_lag_seconds=10)
    log.save_execution(submitted())
    desk.look(seconds=2)
    assert ("alert.raised", "projection_lag", "projector") in told(log)
    project()
    desk.look(seconds=15)
    assert ("alert.resolved", "projection_lag", "projector") in told(log)


def test_an_order_that_nobody_knows_the_fate_of_is_raised(desk: Desk, log: EventLog, project: Project) -> None:
    """Whatever else its error says; resolved when somebody has it go on."""
    run = running(max_retries=0)
    unknown = failure(type=NEEDS_ATTENTION, message="nobody knows \x00", needs_attention=True, retryable=False)
    run.fail(stamp(5), attempt=1, failure=unknown)
    log.save_execution(run)
    project()
    desk.look(seconds=3)
    name = ("needs_attention", run.submitted.strategy_id)
    assert ("alert.raised", *name) in told(log)
    run.retry_now(stamp(9))
    log.save_execution(run)
    project()
    desk.look(seconds=15)
    assert ("alert.resolved", *name) in told(log)


def test_a_schedule_that_missed_a_time_is_raised_by_its_own_id(desk: Desk, log: EventLog, project: Project) -> None:
    """Two that have the same name are two alerts; one that is deleted is nobody's concern."""
    missed, fine, gone = (schedule() for _ in range(3))
    for each in (missed, gone):
        each.record(stamp(1), Missed(NOW, NOW + timedelta(hours=4), 2))
    gone.delete(stamp(2))
    for each in (missed, fine, gone):
        log.append(each.collect_events())
    project()
    desk.look(seconds=3)
    assert told(log) == [("alert.raised", "schedule_missed", str(missed.id))]
    assert getattr(events(log)[0], "value", None) == 2.0


def test_alerts_are_known_after_a_restart_and_raised_once_by_two(
    settings: StatusSettings, desk: Desk, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """Neither another alerter beside it nor the next one repeats what the log has, though no projector wrote a row."""
    beat(client, heartbeat("silent@host", at=datetime.now(UTC)), alive=False)
    other = Desk(settings, log, engine, client)
    for _ in range(20):
        desk.look(seconds=1)
        other.look(seconds=1)
    next_one = Desk(settings, log, engine, client)
    next_one.alerter.process(log.read(next_one.alerter.start(), topics=ALERT_TOPICS))
    next_one.look(seconds=20)
    assert told(log) == [("alert.raised", "worker_unresponsive", "silent@host")]


def test_a_killed_alerter_is_followed_by_the_one_that_stands_by(
    settings: StatusSettings, log: EventLog, engine: sa.Engine
) -> None:
    """Of two processes one looks; after kill -9 the other goes on, and what is raised stays raised once."""
    for _ in range(3):
        log.save_execution(submitted())

    def is_active() -> bool:
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql(IS_ACTIVE, (lock_key(ALERTER),)).scalar())

    name = ("alert.raised", "queue_backlog", "normal/depth")
    module = "services.status.alerter"
    with process("services.status.projector", settings), process(module, settings, **QUICK) as first:
        until(lambda: name in told(log), seconds=20, hint="nothing is raised")
        with process(module, settings, **QUICK):
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10)
            until(is_active, seconds=20, hint="nobody follows")
            for _ in range(3):
                log.save_execution(submitted(priority="high"))
            until(lambda: ("alert.raised", "queue_backlog", "high/depth") in told(log), seconds=20)
    assert told(log).count(name) == 1


def test_rows_are_what_the_log_says_also_after_a_rebuild(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, project: Project
) -> None:
    """In one batch and in several; raised, acknowledged, resolved and raised again."""
    event = alert_raised()
    alert = evolve(None, event)
    assert alert is not None
    seen = acknowledged(alert, stamp(3), note="I look")
    assert seen is not None
    alert = evolve(alert, seen)
    assert alert is not None
    later: list[Event] = [alert_raised(2), alert_resolved(alert_raised(3))]
    log.append([event, seen])
    project()
    log.append([later[0], alert_raised(3), later[1]])
    project()
    assert differences(settings.database_url) == []
    Rebuild(log, engine).run()
    assert differences(settings.database_url) == []


async def test_the_list_does_not_wait_for_the_projector(log: EventLog, api: httpx.AsyncClient) -> None:
    """An alert about a projector that stands still would otherwise not be seen."""
    log.append([alert_raised(kind=AlertKind.PROJECTION_LAG, subject="projector")])
    (item,) = (await api.get("/alerts", params={"active": "true"})).json()["items"]
    assert (item["kind"], item["subject"]) == ("projection_lag", "projector")
