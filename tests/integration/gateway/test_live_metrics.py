"""Metrics, pushed each second to those who ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from services.gateway.metric_answers import MetricsAnswer
from shared.domain.phases import Phase
from tests.builders import in_phase, running
from tests.fake_status import FakeStatus
from tests.integration.gateway.stage import settings
from tests.integration.gateway.test_live import save, spoken
from tests.integration.gateway.test_live_progress import until
from tests.live_server import Served, served


@pytest.fixture
def status() -> FakeStatus:
    """The status service, which has the figures."""
    return FakeStatus()


@pytest.fixture
async def gateway(catalogue_url: str, tmp_path: Path, status: FakeStatus) -> AsyncIterator[Served]:
    """A gateway in open mode, over real HTTP."""
    async with served(settings(catalogue_url, home=tmp_path), status_transport=status.transport) as running_gateway:
        yield running_gateway


async def test_who_asks_for_metrics_hears_them_each_second_over_both_ways(gateway: Served, status: FakeStatus) -> None:
    """Without a position, as `GET /api/metrics` answers them, and as they are by then."""
    async with gateway.stream(types="metrics") as stream, connect(f"{gateway.socket_url}?types=metrics") as socket:
        first = await stream.event()
        assert (first["position"], first["type"], first["task_id"], first["subject"]) == (None, "metrics", None, None)
        assert MetricsAnswer.model_validate(first["data"]).tasks.queued == 0
        assert (await spoken(socket))["type"] == "metrics"
        status.show(in_phase(Phase.WAITING))
        second = await stream.event()
        if not second["data"]["tasks"]["queued"]:
            second = await stream.event()
        assert second["data"]["tasks"]["queued"] == 1


async def test_nobody_else_hears_them_and_the_log_is_heard_beside_them(gateway: Served, status: FakeStatus) -> None:
    """Not who names no type, another one, or a user; what is in the log comes once and in order with them."""
    task = running(user_id="ann")
    async with (
        gateway.stream(types="metrics,execution.*") as both,
        gateway.stream() as everything,
        gateway.stream(types="metrics,execution.*", user_id="ann") as mine,
    ):
        assert (await both.event())["type"] == "metrics"
        await save(gateway, task)
        wanted = ["execution.submitted", "execution.attempt_started"]
        assert [each["type"] for each in await everything.events(2)] == wanted
        assert [each["type"] for each in await mine.events(2)] == wanted
        found: list[str] = []
        while len(found) < 2:
            event = await both.event()
            found += [event["type"]] if event["type"] != "metrics" else []
        assert found == wanted


async def test_nobody_is_asked_while_nobody_wants_them_and_an_outage_is_waited_out(
    gateway: Served, status: FakeStatus
) -> None:
    """Streams live on without the status service, and hear metrics again when it is back."""
    async with gateway.stream():
        await asyncio.sleep(0)
        assert "/metrics" not in status.asked
    async with gateway.stream(types="metrics") as stream:
        await stream.event()
        status.away = True
        asked = len(status.asked)
        await until(lambda: len(status.asked) > asked)
        status.away = False
        assert (await stream.event())["type"] == "metrics"
