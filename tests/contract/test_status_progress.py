"""Progress as the gateway hears it from the status service: one suite for the fake and for the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from services.executor.progress import RedisBoard, RunProgress
from services.gateway.status_client import StatusClient
from services.status.app import create_app
from services.status.settings import StatusSettings
from shared.domain.errors import Unavailable
from shared.domain.execution import WorkflowExecution
from shared.http_server import Server
from shared.result_backend import ProgressReport
from shared.workflow.context import Position, Progress
from tests.builders import running, stamp
from tests.contract.status_services import BASE_URL
from tests.failing_redis import FailingRedis
from tests.fake_status import FakeStatus
from tests.live_server import PATIENCE, config_of, start

POSITION = Position("load", None)


@dataclass(frozen=True, kw_only=True)
class Side:
    """A client of one of the two, and the ways to have a step report and to end what is listened to."""

    client: StatusClient
    report: Callable[[WorkflowExecution, Progress], None]
    stop: Callable[[], None]


@asynccontextmanager
async def _fake(_: pytest.FixtureRequest) -> AsyncIterator[Side]:
    fake = FakeStatus()

    def report(execution: WorkflowExecution, progress: Progress) -> None:
        step = {"done": progress.done, "total": progress.total, "message": progress.message}
        fake.report(ProgressReport(task_id=execution.id, at=stamp(1).at, attempt=1, progress={"step_progress": step}))

    async with StatusClient(BASE_URL, transport=fake.transport) as client:
        yield Side(client=client, report=report, stop=fake.end_progress)


@asynccontextmanager
async def _real(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    async with _served(request.getfixturevalue("redis_url"), request) as side:
        yield side


@asynccontextmanager
async def _served(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    database_url: str = request.getfixturevalue("migrated_database_url")
    home: Path = request.getfixturevalue("tmp_path")
    app = create_app(StatusSettings(database_url=database_url, redis_url=redis_url, home=home))
    server = Server(config_of(app), end_streams=lambda: app.state.resources.progress_reports.close())
    url, serving = start(server)

    def report(execution: WorkflowExecution, progress: Progress) -> None:
        run = RunProgress(RedisBoard(redis.Redis.from_url(redis_url)))
        run.at_boundary(execution)
        run.within_step(POSITION, progress)

    def stop() -> None:
        server.should_exit = True

    async with StatusClient(url) as client:
        yield Side(client=client, report=report, stop=stop)
    stop()
    await serving


KINDS = {"fake": _fake, "real": _real}


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_what_a_step_says_is_heard_by_all_who_listen(side: Side) -> None:
    """With its task, its attempt, and the progress of the run around it; the first word is a sign of life."""
    execution = running()
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(side.client.progress()) as one,
        aclosing(side.client.progress()) as two,
    ):
        assert await anext(one) is None
        assert await anext(two) is None
        side.report(execution, Progress(3, 7, "bars"))
        for heard in (one, two):
            told = await _said(heard)
            assert (told.task_id, told.attempt) == (execution.id, 1)
            assert told.progress["step_progress"] == {"done": 3, "total": 7, "message": "bars"}


async def test_it_ends_with_the_service(side: Side) -> None:
    """At once, or with a connection that is refused: never in silence."""
    async with asyncio.timeout(PATIENCE), aclosing(side.client.progress()) as heard:
        assert await anext(heard) is None
        side.stop()
        try:
            while await anext(heard, ...) is not ...:
                pass
        except Unavailable:
            pass


async def test_it_ends_with_redis_and_can_be_listened_to_again(
    request: pytest.FixtureRequest, failing_redis: FailingRedis
) -> None:
    """Killed while somebody listens: that stream ends, and each does without Redis; then steps are heard again."""
    execution = running()
    async with asyncio.timeout(PATIENCE), _served(failing_redis.url, request) as side:
        async with aclosing(side.client.progress()) as heard:
            assert await anext(heard) is None
            failing_redis.kill()
            assert [told async for told in heard if told is not None] == []
        assert [told async for told in side.client.progress()] == []
        failing_redis.start()
        async with aclosing(side.client.progress()) as heard:
            assert await anext(heard) is None
            side.report(execution, Progress(1, 2, ""))
            assert (await _said(heard)).task_id == execution.id


async def _said(heard: AsyncGenerator[ProgressReport | None]) -> ProgressReport:
    """The next report, past the signs of life."""
    async for told in heard:
        if told is not None:
            return told
    raise AssertionError("the stream has ended")
