"""Readiness, part by part."""

from __future__ import annotations

from pathlib import Path

from tests.fake_status import PARTS
from tests.integration.gateway.stage import Stage, settings, staged, task

NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"


async def test_all_parts_up_is_ready(stage: Stage) -> None:
    """The gateway's own parts and those that the status service knows are listed by name."""
    response = await stage.client.get("/health/ready")
    document = response.json()
    assert (response.status_code, document["status"]) == (200, "ready")
    assert set(document["parts"]) == {"log", "catalogue", "status", *PARTS}
    assert all(part["up"] for part in document["parts"].values())


async def test_a_part_that_is_down_degrades(stage: Stage) -> None:
    """Tasks are still accepted and kept, so the answer is 200 and says which part it is."""
    stage.status.down = {"workers"}
    response = await stage.client.get("/health/ready")
    document = response.json()
    assert (response.status_code, document["status"]) == (200, "degraded")
    assert document["parts"]["workers"] == {"up": False, "detail": "it is down"}


async def test_without_the_status_service_it_is_degraded(stage: Stage) -> None:
    """What is behind it is not known, and the part says where to look."""
    stage.status.away = True
    document = (await stage.client.get("/health/ready")).json()
    assert document["status"] == "degraded"
    assert set(document["parts"]) == {"log", "catalogue", "status"}
    assert "BLOTTER_STATUS_URL" in document["parts"]["status"]["detail"]


async def test_without_a_catalogue_nothing_can_be_accepted(migrated_database_url: str, tmp_path: Path) -> None:
    """A system whose executor has never started is unavailable: lists are empty, submissions are 503."""
    async with staged(settings(migrated_database_url, home=tmp_path)) as running:
        ready = await running.client.get("/health/ready")
        submitted = await running.client.post("/api/tasks", json=task())
        strategies = await running.client.get("/api/strategies")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert not ready.json()["parts"]["catalogue"]["up"]
    assert (submitted.status_code, submitted.headers["Retry-After"]) == (503, "1")
    assert "no executor has published" in submitted.json()["detail"].lower()
    assert strategies.json() == {"items": [], "broken": []}


async def test_it_starts_without_its_database_and_says_so(tmp_path: Path) -> None:
    """The order in which a system starts does not matter; until the log answers, the gateway is unavailable."""
    async with staged(settings(NOWHERE, home=tmp_path)) as running:
        live = await running.client.get("/health/live")
        ready = await running.client.get("/health/ready")
    assert live.status_code == 200
    assert (ready.status_code, ready.json()["parts"]["log"]["up"]) == (503, False)
