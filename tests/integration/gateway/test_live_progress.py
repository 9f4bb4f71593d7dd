"""How far steps are, pushed beside the log to those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import connect

from shared.domain.execution import WorkflowExecution
from shared.result_backend import ProgressReport
from tests.builders import complete_all, running, stamp, submitted
from tests.fake_status import FakeStatus
from tests.integration.gateway.stage import settings
from tests.integration.gateway.test_live import save, spoken
from tests.live_server import PATIENCE, Served, served


@pytest.fixture
def status() -> FakeStatus:
    """The status service, which hears the steps."""
    return FakeStatus()


@pytest.fixture
async def gateway(catalogue_url: str, tmp_path: Path, status: FakeStatus) -> AsyncIterator[Served]:
    """A gateway in open mode, over real HTTP."""
    async with served(settings(catalogue_url, home=tmp_path), status_transport=status.transport) as running_gateway:
        yield running_gateway


def report(task: WorkflowExecution, done: int) -> ProgressReport:
    """What a step says of itself."""
    return ProgressReport(
        task_id=task.id,
        at=stamp(1).at,
        attempt=1,
        progress={"current_step": "load", "step_progress": {"done": done, "total": 9, "message": None}},
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what is only a matter of time."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def heard(gateway: Served, status: FakeStatus, listeners: int = 1) -> None:
    """Wait until so many listen to the gateway, and the gateway to the status service."""
    live = gateway.server.config.app.state.components.live  # type: ignore[union-attr]
    await until(lambda: live._listeners == listeners and status.listeners == min(listeners, 1))


async def test_a_step_that_says_how_far_it_is_is_heard_by_all(gateway: Served, status: FakeStatus) -> None:
    """Without a position, in the words of the task's progress, over both ways."""
    task = running()
    await save(gateway, task)
    async with gateway.stream() as stream, connect(gateway.socket_url) as socket:
        await heard(gateway, status, 2)
        status.report(report(task, 4))
        pushed = await stream.event()
        assert await spoken(socket) == pushed
    assert pushed == {
        "position": None,
        "type": "execution.progress",
        "task_id": str(task.id),
        "subject": str(task.id),
        "at": f"{stamp(1).at:%Y-%m-%dT%H:%M:%SZ}",
        "data": {"current_step": "load", "step_progress": {"done": 4, "total": 9, "message": None}, "attempt": 1},
    }


async def test_it_is_filtered_as_events_are(gateway: Served, status: FakeStatus) -> None:
    """By task, by user and by type; a family of types includes it."""
    mine, other = running(user_id="ann"), running(user_id="bob")
    await save(gateway, mine, other)
    queries: list[dict[str, Any]] = [
        {"task_id": str(mine.id)},
        {"user_id": "ann"},
        {"types": "execution.progress", "user_id": "ann"},
        {"types": "execution.*", "task_id": str(mine.id)},
    ]
    for query in queries:
        async with gateway.stream(**query) as stream, gateway.stream(types="execution.succeeded") as deaf:
            await heard(gateway, status, 2)
            status.report(report(other, 1), report(mine, 2))
            assert (await stream.event())["task_id"] == str(mine.id)
            ended = running()
            complete_all(ended)
            await save(gateway, ended)
            assert (await deaf.event())["type"] == "execution.succeeded"


async def test_it_is_told_after_the_events_that_came_before_and_is_not_resumed(
    gateway: Served, status: FakeStatus
) -> None:
    """A stream that resumes hears the log, and of steps what is said from then on."""
    task = running()
    await save(gateway, task)
    async with gateway.stream() as stream:
        await heard(gateway, status)
        status.report(report(task, 1))
        await stream.event()
        async with gateway.stream(task_id=str(task.id), after=0) as later:
            await heard(gateway, status, 2)
            log = await later.events(2)
            status.report(report(task, 2))
            assert (await later.event())["data"]["step_progress"]["done"] == 2
    assert [event["type"] for event in log] == ["execution.submitted", "execution.attempt_started"]


async def test_streams_live_on_without_the_status_service_and_hear_it_when_it_is_back(
    gateway: Served, status: FakeStatus
) -> None:
    """Changes are pushed all the time."""
    task = running()
    async with gateway.stream() as stream:
        await heard(gateway, status)
        status.away = True
        status.end_progress()
        await save(gateway, task)
        assert [UUID(each["task_id"]) for each in await stream.events(2)] == [task.id, task.id]
        status.away = False
        await heard(gateway, status)
        status.report(report(task, 5))
        assert (await stream.event())["data"]["step_progress"]["done"] == 5


async def test_nobody_asks_for_progress_while_nobody_listens(gateway: Served, status: FakeStatus) -> None:
    """The gateway lets go of the status service with the next sign of life."""
    task = submitted()
    async with gateway.stream():
        await heard(gateway, status)
    live = gateway.server.config.app.state.components.live  # type: ignore[union-attr]
    await until(lambda: not live.is_listened)
    status.report(report(task, 1))
    await heard(gateway, status, 0)
    async with gateway.stream() as stream:
        await heard(gateway, status)
        status.report(report(task, 2))
        assert (await stream.event())["data"]["step_progress"]["done"] == 2
