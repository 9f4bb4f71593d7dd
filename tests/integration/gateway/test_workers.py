"""Workers by the public API: what they say of themselves, and having one leave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.worker_events import DrainRequested, worker_stream
from shared.log.runs import Recorded
from tests.builders import NOW, WORKER
from tests.heartbeats import heartbeat
from tests.integration.gateway.stage import ADA, ROOT, VERA, Stage, as_user

DRAIN = f"/api/workers/{WORKER}/drain"


async def requests(stage: Stage) -> list[Recorded]:
    """What the log has of workers that are to leave."""
    return await stage.log.read(0, topics=[DrainRequested.TOPIC])


async def test_workers_are_shown_as_the_status_service_has_them(stage: Stage) -> None:
    """By name, each with its state."""
    stage.status.show_worker(heartbeat("b@here"))
    stage.status.show_worker(heartbeat("a@here", left=True))
    items = (await stage.client.get("/api/workers")).json()["items"]
    assert [(item["name"], item["state"]) for item in items] == [("a@here", "offline"), ("b@here", "online")]


@pytest.mark.parametrize("gone", ["away", "redis_away"])
async def test_without_the_status_service_or_its_redis_nobody_knows_workers(stage: Stage, gone: str) -> None:
    """The answer says so, and nothing is recorded."""
    stage.status.show_worker(heartbeat())
    setattr(stage.status, gone, True)
    for answer in (await stage.client.get("/api/workers"), await stage.client.post(DRAIN)):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await requests(stage) == []


async def test_a_worker_is_asked_to_leave_once_on_record_with_who_asked(keyed: Stage) -> None:
    """Asking again, also twenty at once, is answered the same, and adds nothing."""
    keyed.status.show_worker(heartbeat())
    answers = await asyncio.gather(*(keyed.client.post(DRAIN) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["name"] for answer in answers} == {WORKER}
    (recorded,) = await requests(keyed)
    event = recorded.event
    assert isinstance(event, DrainRequested)
    assert (event.originator_id, event.actor, event.name) == (worker_stream(WORKER), "user:root", WORKER)
    assert event.started_at == heartbeat().started_at


async def test_a_later_worker_of_the_name_is_asked_anew(stage: Stage) -> None:
    """The first request was about the one before it."""
    stage.status.show_worker(heartbeat())
    await stage.client.post(DRAIN)
    stage.status.show_worker(heartbeat(started_at=NOW + timedelta(hours=1)))
    assert (await stage.client.post(DRAIN)).status_code == 202
    assert [recorded.event.originator_version for recorded in await requests(stage)] == [1, 2]


async def test_a_worker_that_drains_already_is_not_asked_again(stage: Stage) -> None:
    """There is nothing to record."""
    stage.status.show_worker(heartbeat(draining=True))
    answer = await stage.client.post(DRAIN)
    assert (answer.status_code, answer.json()["state"]) == (202, "draining")
    assert await requests(stage) == []


@pytest.mark.parametrize(("said", "alive"), [({"left": True}, True), ({}, False)])
async def test_a_worker_that_is_offline_is_not_asked(stage: Stage, said: dict[str, bool], alive: bool) -> None:
    """It said goodbye, or fell silent long ago: a refusal that says since when."""
    stage.status.show_worker(heartbeat(WORKER, **said), alive=alive)
    answer = await stage.client.post(DRAIN)
    assert (answer.status_code, answer.json()["code"]) == (409, "worker_offline")
    assert "2026-03-02 14:30:09 UTC" in answer.json()["detail"]
    assert await requests(stage) == []


async def test_a_worker_that_does_not_answer_is_asked_for_when_it_does_again(stage: Stage) -> None:
    """The request is kept."""
    stage.status.show_worker(heartbeat(at=datetime.now(UTC)), alive=False)
    answer = await stage.client.post(DRAIN)
    assert (answer.status_code, answer.json()["state"]) == (202, "unresponsive")
    assert len(await requests(stage)) == 1


async def test_an_unknown_worker_is_not_found(stage: Stage) -> None:
    """By a code of its own."""
    answer = await stage.client.post("/api/workers/nobody@here/drain")
    assert (answer.status_code, answer.json()["code"]) == (404, "worker_not_found")


@pytest.mark.parametrize(("key", "reads", "drains"), [(VERA, 200, 403), (ADA, 200, 403), (ROOT, 200, 202)])
async def test_everybody_sees_workers_and_admins_alone_have_them_leave(
    keyed: Stage, key: str, reads: int, drains: int
) -> None:
    """The role of the key decides."""
    keyed.status.show_worker(heartbeat())
    assert (await keyed.client.get("/api/workers", headers=as_user(key))).status_code == reads
    assert (await keyed.client.post(DRAIN, headers=as_user(key))).status_code == drains
