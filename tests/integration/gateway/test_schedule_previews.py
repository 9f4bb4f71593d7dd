"""When schedules fire, over HTTP: of those that are written, and of those that might be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from services.gateway.schedule_answers import PreviewAnswer, UpcomingAnswer
from tests.builders import stamp
from tests.integration.gateway.scheduling import PATH, create, created, schedule, stored, triggered
from tests.integration.gateway.stage import Stage
from tests.schedule_builders import fire

AT_NOON = {"when": {"cron": "0 12 * * *"}, "timezone": "America/New_York"}


async def _preview(stage: Stage, **changes: Any) -> httpx.Response:
    return await stage.client.post(f"{PATH}/preview", json=schedule(**changes))


async def _upcoming(stage: Stage, schedule_id: str, n: int | None = None) -> dict[str, Any]:
    response = await stage.client.get(f"{PATH}/{schedule_id}/upcoming", params={"n": n} if n else {})
    assert response.status_code == 200, response.text
    UpcomingAnswer.model_validate_json(response.content)
    document: dict[str, Any] = response.json()
    return document


async def test_a_preview_tells_the_first_ten_times_and_saves_nothing(stage: Stage) -> None:
    """In UTC, and by the clock of the zone, whatever it is set to on each day."""
    head = await stage.log.head()
    response = await _preview(stage, **AT_NOON)
    PreviewAnswer.model_validate_json(response.content)
    document = response.json()
    assert (response.status_code, document["timezone"], len(document["items"])) == (200, "America/New_York", 10)
    times = [datetime.fromisoformat(item["at"]) for item in document["items"]]
    local = [datetime.fromisoformat(item["local"]) for item in document["items"]]
    assert datetime.now(UTC) < times[0] < datetime.now(UTC) + timedelta(hours=25)
    assert local == times
    assert {(each.hour, each.minute) for each in local} == {(12, 0)}
    assert {each.utcoffset() for each in local} <= {timedelta(hours=-5), timedelta(hours=-4)}
    assert all(item["at"].endswith("Z") and item["due_at"] == item["at"] for item in document["items"])
    assert all(before.date() + timedelta(days=1) == after.date() for before, after in pairwise(local))
    assert await stage.log.head() == head


async def test_a_preview_is_what_the_schedule_then_does(stage: Stage) -> None:
    """The same times as those of a schedule that is written with the same body."""
    preview = (await _preview(stage, **AT_NOON, calendar="XNYS")).json()
    made = await created(stage, **AT_NOON, calendar="XNYS")
    assert await _upcoming(stage, made["schedule_id"]) == preview | {"reason": None}
    assert made["next_fire_at"] == preview["items"][0]["at"]


async def test_a_preview_does_not_ask_whether_it_is_enabled(stage: Stage) -> None:
    """It tells the times that it would have."""
    assert len((await _preview(stage, enabled=False)).json()["items"]) == 10


async def test_a_preview_shows_no_more_times_than_there_are(stage: Stage) -> None:
    """One, or as many as it has runs."""
    once = (await _preview(stage, when={"at": "2199-01-31T14:30:00+05:00"}, timezone="Asia/Tokyo")).json()
    assert [(item["at"], item["local"]) for item in once["items"]] == [
        ("2199-01-31T09:30:00Z", "2199-01-31T18:30:00+09:00")
    ]
    assert len((await _preview(stage, max_runs=3)).json()["items"]) == 3


async def test_a_preview_does_not_invent_jitter(stage: Stage) -> None:
    """It is drawn from the id that a schedule has when it is written."""
    items = (await _preview(stage, jitter_seconds=60)).json()["items"]
    assert {item["due_at"] for item in items} == {None}


@pytest.mark.parametrize(
    "changes",
    [
        {"when": {"cron": "0 0 30 2 *"}},
        {"when": {"at": "2020-01-01T00:00:00Z"}},
        {"when": {"session": {"event": "open"}}},
        {"timezone": "Mars/Olympus"},
        {"strategy_id": "gone"},
        {"parameters": {"fast": 0}, "end_at": "2020-01-01T00:00:00Z"},
        {"name": ""},
        {"symbols": []},
    ],
    ids=str,
)
async def test_a_preview_is_refused_exactly_as_the_creation(stage: Stage, changes: dict[str, Any]) -> None:
    """Status, fields and words, but for the moment that they name."""
    preview, creation = await _preview(stage, **changes), await create(stage, **changes)
    assert preview.status_code == creation.status_code >= 400
    one, other = preview.json(), creation.json()
    assert [error["field"] for error in one.get("errors", [])] == [error["field"] for error in other.get("errors", [])]
    assert (one["code"], one["detail"]) == (other["code"], other["detail"])


async def test_the_times_to_come_are_as_many_as_asked_for(stage: Stage) -> None:
    """Ten, unless it is said."""
    schedule_id = (await created(stage))["schedule_id"]
    many = [await _upcoming(stage, schedule_id, n) for n in (None, 1, 100)]
    assert [len(document["items"]) for document in many] == [10, 1, 100]
    assert many[2]["items"][:10] == many[0]["items"]


@pytest.mark.parametrize("query", ["n=0", "n=101", "n=ten", "n=1.5", "n=1&n=2", "n=", "limit=3"])
async def test_a_wrong_number_of_times_is_refused(stage: Stage, query: str) -> None:
    """It is 1 to 100."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await stage.client.get(f"{PATH}/{schedule_id}/upcoming?{query}")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_jitter_makes_a_time_due_later_but_never_after_the_next(stage: Stage) -> None:
    """The nominal time stays what it is."""
    schedule_id = (await created(stage, when={"every_seconds": 60}, jitter_seconds=3600))["schedule_id"]
    items = (await _upcoming(stage, schedule_id, 20))["items"]
    late = [datetime.fromisoformat(item["due_at"]) - datetime.fromisoformat(item["at"]) for item in items]
    assert all(timedelta() <= each < timedelta(seconds=60) for each in late)
    assert len(set(late)) > 10
    assert (await _upcoming(stage, schedule_id, 1))["items"][0]["due_at"] in [item["due_at"] for item in items]


async def test_a_disabled_schedule_has_no_times_to_come_and_says_why(stage: Stage) -> None:
    """With the reason that it was given."""
    schedule_id = (await created(stage))["schedule_id"]
    await stage.client.post(f"{PATH}/{schedule_id}/disable", params={"reason": "earnings season"})
    named = await _upcoming(stage, schedule_id)
    await stage.client.post(f"{PATH}/{schedule_id}/enable")
    await stage.client.post(f"{PATH}/{schedule_id}/disable")
    unnamed = await _upcoming(stage, schedule_id)
    assert (named["items"], named["reason"]) == ([], "it is disabled: earnings season")
    assert (unnamed["items"], unnamed["reason"]) == ([], "it is disabled")


async def test_runs_that_are_used_up_are_the_end_of_it(stage: Stage) -> None:
    """Those of its own times count, and those that somebody triggered do not."""
    made = await stored(stage, max_runs=3, user_id="local")
    fire(made, stamp(1))
    await stage.log.append(made.collect_events())
    assert len((await _upcoming(stage, str(made.id)))["items"]) == 2
    for second in (2, 3):
        fire(made, stamp(second))
    await stage.log.append(made.collect_events())
    assert await _upcoming(stage, str(made.id)) == {
        "items": [],
        "timezone": "UTC",
        "reason": "all of its 3 runs (max_runs) are used",
    }
    unused = (await created(stage, max_runs=3))["schedule_id"]
    await triggered(stage, unused)
    assert len((await _upcoming(stage, unused))["items"]) == 3


async def test_a_schedule_whose_times_are_past_says_so(stage: Stage) -> None:
    """It is enabled, and there is nothing left to do."""
    made = await stored(stage, end_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (await _upcoming(stage, str(made.id)))["reason"] == "no times are left"
