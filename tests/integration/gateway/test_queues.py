"""Queues over HTTP: what they hold, and pausing them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from services.gateway.queue_answers import QueuePage, QueueState
from shared.domain.events import Event
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.domain.queue_events import QUEUE_TOPICS, QueuePaused, queue_id
from tests.builders import stamp, submitted
from tests.integration.gateway.stage import ADA, ROOT, VERA, Stage, as_user

PATH = "/api/queues"


async def change(stage: Stage, level: str, verb: str, **query: str) -> httpx.Response:
    """Pause or resume a level."""
    return await stage.client.post(f"{PATH}/{level}/{verb}", params=query)


async def events(stage: Stage) -> list[Event]:
    """What has happened to queues."""
    return [recorded.event for recorded in await stage.log.read(0, topics=QUEUE_TOPICS)]


async def listed(stage: Stage) -> dict[str, dict[str, Any]]:
    """The levels by name, as the gateway tells them."""
    response = await stage.client.get(PATH)
    assert response.status_code == 200, response.text
    QueuePage.model_validate_json(response.content)
    return {item["priority"]: item for item in response.json()["items"]}


async def test_a_pause_is_one_event_that_says_who_and_why(keyed: Stage) -> None:
    """In the level's own stream; the answer tells what holds now."""
    response = await change(keyed, "high", "pause", reason="the venue is down")
    (event,) = await events(keyed)
    assert isinstance(event, QueuePaused)
    assert (event.originator_id, event.level, event.reason) == (queue_id(Priority.HIGH), "high", "the venue is down")
    assert (event.actor, event.originator_version) == ("user:root", 1)
    assert event.trace is not None
    assert response.headers["X-Trace-Id"] in event.trace
    QueueState.model_validate_json(response.content)
    assert (response.status_code, response.json()) == (
        200,
        {
            "priority": "high",
            "paused": True,
            "paused_at": msgspec.to_builtins(event.at),
            "paused_by": "root",
            "pause_reason": "the venue is down",
        },
    )


async def test_doing_it_again_adds_no_event_and_answers_what_holds(stage: Stage) -> None:
    """The first pause stands, with its reason; a level that is not paused is not resumed."""
    first = await change(stage, "low", "pause", reason="first")
    again = await change(stage, "low", "pause", reason="second")
    assert (again.status_code, again.json()) == (200, first.json())
    resumed = await change(stage, "low", "resume")
    nothing = {"priority": "low", "paused": False, "paused_at": None, "paused_by": None, "pause_reason": None}
    assert (await change(stage, "low", "resume")).json() == resumed.json() == nothing
    assert [event.TOPIC for event in await events(stage)] == ["queue.paused", "queue.resumed"]


async def test_twenty_who_pause_at_once_make_one_event(stage: Stage) -> None:
    """All of them are told of the pause that stands."""
    answers = await asyncio.gather(*(change(stage, "normal", "pause", reason=f"{n}") for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(await events(stage)) == 1


async def test_levels_are_paused_each_for_itself(stage: Stage) -> None:
    """One stream a level."""
    for level in Priority:
        await change(stage, level, "pause")
    await change(stage, "normal", "resume")
    assert {name: item["paused"] for name, item in (await listed(stage)).items()} == {
        "high": True,
        "normal": False,
        "low": True,
    }


async def test_the_list_is_the_status_services_with_pauses_from_the_log(stage: Stage) -> None:
    """Whoever pauses reads it at once, though the tables have not heard of it, and nobody reads one that is over."""
    stale = Queue(Priority.LOW)
    stale.pause(stamp(), reason="of old")
    stage.status.queues.show(stale)
    stage.status.queues.consumers = {"high": ["executor@desk"], "maintenance": ["executor@desk"]}
    stage.status.show(submitted(priority=Priority.HIGH), submitted(priority=Priority.HIGH))
    await change(stage, "high", "pause")
    found = await listed(stage)
    assert list(found) == ["high", "normal", "low"]
    assert (found["high"]["depth"], found["high"]["consumers"]) == (2, ["executor@desk"])
    assert found["high"]["oldest_seconds"] > 0
    assert {name: item["paused"] for name, item in found.items()} == {"high": True, "normal": False, "low": False}
    assert found["low"]["pause_reason"] is None
    document = (await stage.client.get(PATH)).json()
    assert document["maintenance"] == {"depth": 0, "consumers": ["executor@desk"]}


async def test_what_redis_alone_knows_is_null_while_it_is_away(stage: Stage) -> None:
    """The rest is told."""
    stage.status.queues.consumers = None
    assert {item["consumers"] for item in (await listed(stage)).values()} == {None}


async def test_without_the_status_service_queues_are_paused_and_not_listed(stage: Stage) -> None:
    """503 for the list, which says what works without it."""
    stage.status.away = True
    assert (await change(stage, "high", "pause")).status_code == 200
    response = await stage.client.get(PATH)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert "Pausing and resuming work without it" in response.json()["detail"]


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(("key", "status"), [(VERA, 403), (ADA, 403), (ROOT, 200)])
async def test_only_admins_pause_and_resume(keyed: Stage, verb: str, key: str, status: int) -> None:
    """A viewer and a trader are told that they may not, and nothing happens."""
    response = await keyed.client.post(f"{PATH}/high/{verb}", headers=as_user(key))
    assert response.status_code == status
    assert len(await events(keyed)) == (1 if (verb, status) == ("pause", 200) else 0)
    assert (await keyed.client.get(PATH, headers=as_user(key))).status_code == 200


@pytest.mark.parametrize("level", ["urgent", "HIGH", "high.resume", "maintenance", "x" * 300])
async def test_what_is_no_level_is_not_found(stage: Stage, level: str) -> None:
    """The answer names those that there are, and echoes no novel."""
    response = await change(stage, level, "pause")
    assert (response.status_code, response.json()["code"]) == (404, "queue_not_found")
    assert response.json()["detail"].endswith("name one of high, normal, low.")
    assert len(response.json()["detail"]) < 200


@pytest.mark.parametrize("query", [{"reason": "x" * 501}, {"reason": "a\nb"}, {"because": "so"}])
async def test_wrong_reasons_are_refused_and_change_nothing(stage: Stage, query: dict[str, str]) -> None:
    """Too long, with control characters, or under another name."""
    response = await change(stage, "high", "pause", **query)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, next(iter(query)))
    assert await events(stage) == []


async def test_an_empty_reason_is_none(stage: Stage) -> None:
    """As in a cancellation."""
    assert (await change(stage, "high", "pause", reason="")).json()["pause_reason"] is None


async def test_pauses_are_in_the_feed_of_events(stage: Stage) -> None:
    """Whoever polls the log finds them by their family, with the stream of their level as subject."""
    await change(stage, "high", "pause", reason="the venue is down")
    await change(stage, "high", "resume")
    items = (await stage.client.get("/api/events", params={"types": "queue.*"})).json()["items"]
    assert [item["type"] for item in items] == ["blotter.queue.paused", "blotter.queue.resumed"]
    assert {item["subject"] for item in items} == {str(queue_id(Priority.HIGH))}
    assert items[0]["data"] == {"level": "high", "reason": "the venue is down"}
