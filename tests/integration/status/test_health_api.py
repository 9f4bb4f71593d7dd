"""Readiness: each part by name, with the others up or down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import redis
import sqlalchemy as sa

from infra.local.ports import free_port
from services.status.app import create_app
from services.status.health import FOLLOWERS
from services.status.projector import Projector
from services.status.publishing import StreamPublisher
from services.status.relay import Relay
from services.status.settings import StatusSettings
from shared.domain.events import Stamp
from shared.heartbeats import SCHEDULER_KEY, heartbeat_key
from shared.log.event_log import EventLog
from shared.log.follower import Follower, lock_key
from tests.builders import running, submitted
from tests.integration.scheduler.desk import publish


async def ready(api: httpx.AsyncClient) -> Any:
    """The answer to GET /health/ready."""
    response = await api.get("/health/ready")
    assert response.status_code == 200, response.text
    return response.json()


async def test_an_empty_system_is_degraded_and_says_what_is_missing(api: httpx.AsyncClient) -> None:
    """The servers are up; every process that is not there is down with a reason."""
    answer = await ready(api)
    assert answer["status"] == "degraded"
    up = {name for name, part in answer["parts"].items() if part["up"]}
    assert up == {"database", "redis"}
    assert all(part["detail"] for name, part in answer["parts"].items() if name not in up)


async def test_with_every_process_there_it_is_ready(
    api: httpx.AsyncClient, settings: StatusSettings, log: EventLog, projector: Projector
) -> None:
    """A following projector, the locks of the other followers, a worker and a scheduler make it ready."""
    stop = threading.Event()
    follower = Follower(log, settings.database_url, projector)
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        assert follower.active.wait(10)
        with psycopg.connect(settings.database_url) as holder, redis.Redis.from_url(settings.redis_url) as live:
            for name in ("relay", "notifier", "alerter", "dispatcher", "results", "orders"):
                holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(FOLLOWERS[name])])
            live.set(heartbeat_key("executor@a"), b"{}")
            live.set(heartbeat_key("executor@b"), b"{}")
            live.set(SCHEDULER_KEY, b"1")
            answer = await ready(api)
    finally:
        stop.set()
        thread.join()
    assert answer["status"] == "ready", answer
    assert answer["parts"]["workers"]["count"] == 2
    assert answer["parts"]["projector"] | {"position": 0} == {
        "up": True,
        "detail": None,
        "position": 0,
        "lag_events": 0,
        "lag_seconds": 0.0,
    }


async def test_the_lag_counts_events_of_runs_and_the_age_of_the_oldest(
    api: httpx.AsyncClient, log: EventLog, project: Callable[[], None]
) -> None:
    """Two events behind, the older one a minute old; caught up, there is no lag."""
    log.save_execution(running())
    project()
    assert (await ready(api))["parts"]["projector"]["lag_events"] == 0
    for age in (60, 10):
        at = datetime.now(UTC) - timedelta(seconds=age)
        log.save_execution(submitted(at=Stamp(at=at, actor="user:ada")))
    lag = (await ready(api))["parts"]["projector"]
    assert lag["lag_events"] == 2
    assert 60 <= lag["lag_seconds"] < 65


async def test_the_lag_of_the_relay_counts_what_is_not_published(
    api: httpx.AsyncClient, settings: StatusSettings, log: EventLog, engine: sa.Engine
) -> None:
    """All events count, those of no run too; published, there is no lag."""
    publish(log, "sma-crossover")
    log.save_execution(running(at=Stamp(at=datetime.now(UTC) - timedelta(seconds=30), actor="user:ada")))
    lag = (await ready(api))["parts"]["relay"]
    assert lag["lag_events"] == 3
    assert lag["lag_seconds"] > 30

    def catch_up() -> None:
        streams = StreamPublisher(settings.redis_url, retention=timedelta(days=1), max_length=1_000)
        relay = Relay(log, engine, streams, retention=timedelta(days=3650))
        relay.process(log.read(relay.start()))
        streams.close()

    await asyncio.to_thread(catch_up)
    assert (await ready(api))["parts"]["relay"] | {"up": True, "detail": None} == {
        "up": True,
        "detail": None,
        "position": log.head(),
        "lag_events": 0,
        "lag_seconds": 0.0,
    }


async def test_a_follower_of_another_database_is_not_ours(api: httpx.AsyncClient, database_url: str) -> None:
    """Two stacks on one server: a lock held in the other's database does not make our projector look alive."""
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock_key(FOLLOWERS["projector"])])
        assert (await ready(api))["parts"]["projector"]["up"] is False


async def test_without_its_servers_it_starts_and_answers_quickly(settings: StatusSettings) -> None:
    """Nobody listens where the database and Redis should be: degraded within seconds, and a task is 503."""
    nowhere = settings.model_copy(
        update={
            "database_url": f"postgresql://app:x@127.0.0.1:{free_port()}/none",
            "redis_url": f"redis://127.0.0.1:{free_port()}/0",
        }
    )
    app = create_app(nowhere)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        answer = await ready(api)
        tasks = await api.get("/tasks")
    assert answer["status"] == "degraded"
    assert not any(part["up"] for part in answer["parts"].values())
    assert (tasks.status_code, tasks.json()["code"]) == (503, "unavailable")


async def test_a_task_is_answered_without_redis(
    settings: StatusSettings, log: EventLog, project: Callable[[], None]
) -> None:
    """Progress within the step is missing, and nothing else."""
    run = running()
    log.save_execution(run)
    project()
    app = create_app(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}))
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        response = await api.get(f"/tasks/{run.id}")
    assert (response.status_code, response.json()["state"]) == (200, "STARTED")
