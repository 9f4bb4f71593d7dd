"""The queues by the query API: on real tables, with workers that say in Redis what they consume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import httpx
import msgspec
import pytest
import redis
import sqlalchemy as sa

from infra.local.ports import free_port
from services.status import queues
from services.status.app import create_app
from services.status.queues import Waiting, oldest_seconds
from services.status.settings import StatusSettings
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.heartbeats import TTL, WORKERS_KEY, heartbeat_key
from shared.log.event_log import EventLog
from shared.routing import MAINTENANCE
from tests.builders import NOW, in_phase, stamp, submitted
from tests.unit.executor.live_runs import worker

Project = Callable[[], None]


@pytest.fixture
def desk(settings: StatusSettings) -> Iterator[redis.Redis]:
    """The Redis that workers write to."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def beat(desk: redis.Redis, name: str, *consumed: str) -> None:
    """Let a worker say what it consumes."""
    desk.sadd(WORKERS_KEY, name)
    heartbeat = worker(name, queues=consumed)
    desk.set(heartbeat_key(name), msgspec.json.encode(heartbeat), px=TTL + timedelta(seconds=60))


async def listed(api: httpx.AsyncClient) -> Any:
    """What the API answers."""
    response = await api.get("/queues")
    assert response.status_code == 200, response.text
    return response.json()


async def test_consumers_are_the_workers_that_name_the_queue(api: httpx.AsyncClient, desk: redis.Redis) -> None:
    """In order; one that takes the resumed runs of a level only is none of the level's."""
    beat(desk, "two@desk", "high", "normal", MAINTENANCE)
    beat(desk, "one@desk", "high", "low.resume")
    document = await listed(api)
    assert [item["consumers"] for item in document["items"]] == [["one@desk", "two@desk"], ["two@desk"], []]
    assert document["maintenance"]["consumers"] == ["two@desk"]


async def test_the_queue_of_clean_ups_is_as_long_as_it_is(api: httpx.AsyncClient, desk: redis.Redis) -> None:
    """Its messages are in Redis and nowhere else."""
    for _ in range(3):
        desk.lpush(MAINTENANCE, b"{}")
    assert (await listed(api))["maintenance"]["depth"] == 3


async def test_without_redis_the_rest_is_still_told(log: EventLog, project: Project, settings: StatusSettings) -> None:
    """What waits is in the tables; who takes it is not known, and not guessed."""
    log.save_execution(submitted())
    project()
    app = create_app(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as api,
    ):
        document = await listed(api)
    assert [item["depth"] for item in document["items"]] == [0, 1, 0]
    assert {item["consumers"] for item in document["items"]} == {None}
    assert document["maintenance"] == {"depth": None, "consumers": None}


def test_depth_and_age_are_read_from_one_index(log: EventLog, engine: sa.Engine, project: Project) -> None:
    """Among many tasks that have ended, those that wait are found without looking at any of the others."""
    log.save_execution(in_phase(Phase.SUCCEEDED))
    project()
    with engine.begin() as connection:
        connection.execute(sa.text(_MANY_ENDED))
    for second in (5, 3, 4):
        log.save_execution(submitted(at=stamp(second), priority=Priority.HIGH))
    project()
    with engine.begin() as connection:
        connection.execute(sa.text("ANALYZE status.workflow_executions"))
        found = queues.waiting(connection)
        plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {_ASKED}")))
    assert found == {
        Priority.HIGH: Waiting(3, stamp(3).at),
        Priority.NORMAL: Waiting(),
        Priority.LOW: Waiting(),
    }
    assert "workflow_executions_waiting" in plan


_ASKED = (
    "SELECT priority, count(*), min(waiting_since) FROM status.workflow_executions WHERE waiting_since IS NOT NULL "
    "GROUP BY priority"
)
_MANY_ENDED = """
INSERT INTO status.workflow_executions
SELECT (jsonb_populate_record(w, jsonb_build_object('task_id', gen_random_uuid()))).*
FROM status.workflow_executions AS w, generate_series(1, 5000)
"""


@pytest.mark.parametrize(("since", "age"), [(None, None), (NOW - timedelta(seconds=90), 90.0), (stamp(5).at, 0.0)])
def test_an_age_is_never_less_than_nothing(since: datetime | None, age: float | None) -> None:
    """The clocks of two machines differ."""
    assert oldest_seconds(since, now=NOW) == age


def test_the_migration_knows_since_when_tasks_wait(log: EventLog, engine: sa.Engine, project: Project) -> None:
    """What the column gets for tasks of before is what a rebuild would write."""
    released = submitted(held=True)
    released.release(stamp(4))
    runs = [released, *(in_phase(phase) for phase in Phase)]
    for run in runs:
        log.save_execution(run)
    project()
    migration = import_module("infra.migrations.versions.0019_queues")
    with engine.begin() as connection:
        expected = connection.execute(sa.text(_SINCE)).all()
        connection.execute(sa.text("UPDATE status.workflow_executions SET waiting_since = NULL"))
        connection.execute(sa.text(migration.SINCE))
        assert connection.execute(sa.text(_SINCE)).all() == expected
    assert len([since for _, since in expected if since is not None]) == 1 + 3


_SINCE = "SELECT task_id, waiting_since FROM status.workflow_executions ORDER BY task_id"
