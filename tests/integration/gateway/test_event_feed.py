"""The log as CloudEvents, for those who poll."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from shared.cloud_events import cloud_event
from shared.domain.catalogue_events import CATALOGUE_ID
from shared.domain.events import Stamp
from tests.builders import NOW, at_join, complete_member, running, stamp, submitted
from tests.integration.gateway.stage import VERA, Stage, as_user
from tests.schedule_builders import schedule

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def page(stage: Stage, **query: Any) -> dict[str, Any]:
    """One answer."""
    answer = await stage.client.get("/api/events", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_an_event_is_a_cloud_event(stage: Stage) -> None:
    """All that the specification asks for, with position, actor and trace as extensions."""
    task = submitted(at=Stamp(at=NOW, actor="user:ada", trace=TRACE))
    await stage.log.append(task.collect_events())
    (event,) = (await page(stage, types="execution.submitted"))["items"]
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": f"{task.id}:1",
        "source": "urn:blotter:log",
        "type": "blotter.execution.submitted",
        "subject": str(task.id),
        "time": event["time"],
        "datacontenttype": "application/json",
        "position": 2,
        "actor": "user:ada",
        "traceparent": TRACE,
    }
    assert datetime.fromisoformat(event["time"]) == NOW
    assert (data["strategy_id"], data["user_id"]) == ("sma-crossover", "ada")


async def test_the_whole_log_is_read_page_by_page(stage: Stage) -> None:
    """Whatever the size of the pages: each event once, in order; the ids are unique."""
    for execution in (running(), at_join(), running()):
        await stage.log.append(execution.collect_events())
    expected = msgspec.json.decode(msgspec.json.encode([cloud_event(each) for each in await stage.log.read(0)]))
    for limit in (1, 2, 3, len(expected), 500):
        items: list[dict[str, Any]] = []
        cursor: str | None = "0"
        while cursor is not None:
            answer = await page(stage, after=cursor, limit=limit)
            items += answer["items"]
            cursor = answer["next_cursor"]
        assert items == expected
    assert len({event["id"] for event in expected}) == len(expected)


async def test_a_poller_goes_on_from_the_position_of_an_empty_page(stage: Stage) -> None:
    """What did not match is not looked through again, and what comes next is not missed."""
    await stage.log.append(running().collect_events())
    empty = await page(stage, types="execution.succeeded")
    assert empty == {"items": [], "next_cursor": None, "position": await stage.log.head()}
    task = submitted()
    await stage.log.append(task.collect_events())
    (event,) = (await page(stage, after=empty["position"]))["items"]
    assert event["subject"] == str(task.id)


async def test_the_subject_is_the_task_or_the_schedule(stage: Stage) -> None:
    """Branches are part of their run; the catalogue is its own subject."""
    made, run = schedule(), at_join()
    complete_member(run, run.submitted.symbols[0], stamp(5))
    await stage.log.append(made.collect_events())
    await stage.log.append(run.collect_events())
    subjects = {event["type"]: event["subject"] for event in (await page(stage))["items"]}
    assert subjects["blotter.branch.completed"] == str(run.id)
    assert subjects["blotter.schedule.created"] == str(made.id)
    assert subjects["blotter.catalogue.published"] == str(CATALOGUE_ID)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=x", "after"),
        ("after=999999", "after"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("types=", "types.0"),
        ("types=execution.unknown", "types.0"),
        ("cursor=1", "cursor"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_wrong_question_is_refused_by_the_name_of_its_field(stage: Stage, query: str, field: str) -> None:
    """Nothing is guessed."""
    answer = await stage.client.get(f"/api/events?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_viewers_may_read_the_log_and_strangers_may_not(keyed: Stage) -> None:
    """Every role reads everything."""
    assert (await keyed.client.get("/api/events", headers=as_user(VERA))).status_code == 200
    assert (await keyed.client.get("/api/events", headers=as_user("stranger-0123456789"))).status_code == 401
