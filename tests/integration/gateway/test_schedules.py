"""Schedules over HTTP: written once, read from the log, listed from the tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.gateway.schedule_answers import HistoryPage, ScheduleAnswer, SchedulePage
from services.gateway.schedule_bodies import ScheduleRequest
from shared.domain.overlap import Drop
from shared.domain.schedule_events import ScheduleCreated, SkipReason
from shared.domain.timing import When
from tests.builders import stamp
from tests.integration.gateway.scheduling import PATH, change, create, created, events, schedule, state, stored
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user, publish, strategy, task
from tests.schedule_builders import fire, scheduled_run

WHOLE: dict[str, Any] = {
    "parameters": {"fast": 5, "slow": 9},
    "priority": "high",
    "labels": {"desk": "eu"},
    "max_retries": 7,
    "timeout_seconds": 90,
    "result_ttl_seconds": 600,
    "timezone": "Europe/Berlin",
    "start_at": "2026-01-01T00:00:00Z",
    "end_at": "2199-01-01T00:00:00Z",
    "overlap": "buffer_one",
    "catchup_seconds": 5,
    "jitter_seconds": 2.5,
    "max_runs": 1000,
    "pause_on_failure": True,
    "enabled": True,
}


async def test_a_schedule_is_recorded_and_answered_as_it_stands(stage: Stage) -> None:
    """201 with its place, every field as it was given, and the next time."""
    response = await create(stage, **WHOLE)
    document = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{PATH}/{document['schedule_id']}"
    assert {name: document[name] for name in schedule(**WHOLE)} == schedule(**WHOLE)
    assert (document["user_id"], document["version"], document["last_task_id"]) == ("local", 1, None)
    assert set(document["counters"].values()) == {0}
    assert (await stage.client.get(response.headers["Location"])).json() == document
    (event,) = await events(stage, document["schedule_id"])
    assert isinstance(event, ScheduleCreated)
    assert (event.actor, event.enabled) == ("user:local", True)
    ScheduleAnswer.model_validate_json(response.content)


async def test_what_is_left_out_has_the_documented_value(stage: Stage) -> None:
    """Those of the contract's example, and for a run nothing that its strategy decides."""
    document = await created(stage)
    fields = ScheduleRequest.model_fields
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in WHOLE}
    assert {name: document[name] for name in WHOLE} == msgspec.to_builtins(defaults)
    assert (document["overlap"], document["catchup_seconds"], document["timezone"]) == ("skip", 300, "UTC")


@pytest.mark.parametrize(
    "when",
    [
        {"at": "2199-01-31T14:30:00Z"},
        {"cron": "35 9 * * mon-fri"},
        {"cron": "@daily"},
        {"every_seconds": 14400},
        {"session": {"event": "close", "offset_seconds": -300}},
    ],
    ids=lambda when: "-".join(when),
)
async def test_when_is_answered_as_it_was_given(stage: Stage, when: dict[str, Any]) -> None:
    """Only the one key of it, and a next time of each kind."""
    calendar = {"calendar": "XNYS"} if "session" in when else {}
    document = await created(stage, when=when, **calendar)
    assert document["when"] == when
    assert datetime.fromisoformat(document["next_fire_at"]) > datetime.now(UTC)


async def test_one_time_may_be_tied_to_a_calendar(stage: Stage) -> None:
    """It must be on a day with a session, such as the first one that a preview tells."""
    daily = schedule(when={"cron": "0 12 * * *"}, timezone="America/New_York", calendar="XNYS")
    (day, *_) = (await stage.client.post(f"{PATH}/preview", json=daily)).json()["items"]
    document = await created(stage, when={"at": day["local"]}, calendar="XNYS")
    assert document["next_fire_at"] == document["when"]["at"] == day["at"]


async def test_times_are_kept_in_utc(stage: Stage) -> None:
    """The same moment, whatever zone it was given in."""
    document = await created(stage, when={"at": "2199-01-31T14:30:00+05:00"}, start_at="2026-01-01T01:00:00+01:00")
    assert (document["when"], document["start_at"]) == ({"at": "2199-01-31T09:30:00Z"}, "2026-01-01T00:00:00Z")
    assert document["next_fire_at"] == "2199-01-31T09:30:00Z"


async def test_a_schedule_that_is_written_disabled_does_not_fire(stage: Stage) -> None:
    """It waits to be enabled."""
    document = await created(stage, enabled=False)
    assert (document["enabled"], document["next_fire_at"]) == (False, None)


async def test_a_get_right_after_it_needs_no_projection(stage: Stage) -> None:
    """One schedule is read from the log, whatever has become of the status service."""
    stage.status.away = True
    document = await created(stage)
    answers = [
        await stage.client.get(f"{PATH}/{document['schedule_id']}{rest}") for rest in ("", "/upcoming", "/history")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 503]


async def test_the_same_request_again_answers_the_first_schedule_as_it_is_now(stage: Stage) -> None:
    """200 with the same place, also when it could not be written any more; another body is refused."""
    first = await create(stage, key="once")
    schedule_id = first.json()["schedule_id"]
    assert (await change(stage, schedule_id, name="daily")).status_code == 200
    await publish(stage.log, strategy(strategy_id="another"))
    await stage.knows("another")
    again, other = await create(stage, key="once"), await create(stage, key="once", name="other")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert (again.json()["name"], again.json()["version"]) == ("daily", 2)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    await stage.client.delete(f"{PATH}/{schedule_id}")
    assert (await create(stage, key="once")).json()["deleted_at"] is not None


async def test_a_key_stands_for_one_thing_only(stage: Stage) -> None:
    """One that stands for a task does not make a schedule, nor the other way round."""
    headers = {"Idempotency-Key": "of-a-task"}
    await stage.client.post("/api/tasks", json=task(), headers=headers)
    refused = [await create(stage, key="of-a-task")]
    await create(stage, key="of-a-schedule")
    headers = {"Idempotency-Key": "of-a-schedule"}
    refused.append(await stage.client.post("/api/tasks", json=task(), headers=headers))
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "idempotency_key_reused")] * 2
    assert await stage.runs() == 1


async def test_twenty_at_once_make_one_schedule(stage: Stage) -> None:
    """Whoever appends first makes it; all the others are answered with it."""
    answers = await asyncio.gather(*(create(stage, key="once") for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 19}
    assert len({answer.json()["schedule_id"] for answer in answers}) == 1
    assert len(await stage.log.read(0, topics=["schedule.created"])) == 1


async def test_keys_of_different_users_have_nothing_to_do_with_each_other(keyed: Stage) -> None:
    """Another user's request under the same key is a schedule of its own."""
    ada, bob = await create(keyed, key="k", user=ADA), await create(keyed, key="k", user=BOB, name="bobs")
    assert (ada.status_code, bob.status_code) == (201, 201)
    assert (ada.json()["user_id"], bob.json()["user_id"]) == ("ada", "bob")
    assert ada.json()["schedule_id"] != bob.json()["schedule_id"]


async def test_the_document_tells_what_became_of_its_times(stage: Stage) -> None:
    """Counters, the last run, and those that run or are held as far as the log of the schedule knows."""
    made = await stored(stage, when=When(cron="@hourly"))
    first = fire(made, stamp(1))
    await stage.log.append(made.collect_events())
    document = (await stage.client.get(f"{PATH}/{made.id}")).json()
    assert (document["last_task_id"], document["running"], document["held"]) == (str(first), [str(first)], [])
    assert document["last_fired_at"] == document["last_nominal_at"] == "2026-03-02T14:30:01Z"
    assert document["counters"]["fired"] == 1
    assert (document["version"], document["created_at"]) == (2, "2026-03-02T14:30:00Z")


async def test_a_task_is_no_schedule_and_a_schedule_no_task(stage: Stage) -> None:
    """Their ids are not mixed up, though one log has both."""
    task_id, schedule_id = await stage.accepted(), (await created(stage))["schedule_id"]
    answers = [await stage.client.get(path) for path in (f"{PATH}/{task_id}", f"/api/tasks/{schedule_id}")]
    assert [answer.json()["code"] for answer in answers] == ["schedule_not_found", "task_not_found"]


async def test_a_word_of_another_route_is_no_schedule(stage: Stage) -> None:
    """A method that `preview` lacks is named as such."""
    response = await stage.client.delete(f"{PATH}/preview")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("rest", ["", "/upcoming"])
async def test_a_schedule_is_not_asked_as_of_the_past(stage: Stage, rest: str) -> None:
    """What is not answered is not ignored."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await stage.client.get(f"{PATH}/{schedule_id}{rest}?as_of=1")
    assert [error["field"] for error in response.json()["errors"]] == ["as_of"]


COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "", {"json": {"name": "mine"}}),
    ("POST", "/enable", {}),
    ("POST", "/disable", {}),
    ("POST", "/trigger", {}),
    ("POST", "/backfill", {"json": {"start": "2026-01-05T00:00:00Z", "end": "2026-01-05T02:00:00Z"}}),
    ("DELETE", "", {}),
]


@pytest.mark.parametrize(("method", "rest", "content"), COMMANDS)
@pytest.mark.parametrize(("user", "code"), [(VERA, "forbidden"), (BOB, "not_your_schedule"), (ADA, None), (ROOT, None)])
async def test_a_trader_changes_its_own_schedules_and_an_admin_any(
    keyed: Stage, method: str, rest: str, content: dict[str, Any], user: str, code: str | None
) -> None:
    """A refused change leaves the log as it was."""
    schedule_id = (await created(keyed, user=ADA))["schedule_id"]
    head = await keyed.log.head()
    response = await keyed.client.request(method, f"{PATH}/{schedule_id}{rest}", headers=as_user(user), **content)
    assert response.json().get("code") == code, response.text
    if code:
        assert (response.status_code, await keyed.log.head()) == (403, head)
    else:
        assert response.is_success


async def test_viewers_read_and_preview_and_write_nothing(keyed: Stage) -> None:
    """Every role sees all schedules."""
    schedule_id = (await created(keyed, user=ADA))["schedule_id"]
    paths = [PATH, *(f"{PATH}/{schedule_id}{rest}" for rest in ("", "/upcoming", "/history"))]
    assert {(await keyed.client.get(path, headers=as_user(VERA))).status_code for path in paths} == {200}
    preview = await keyed.client.post(f"{PATH}/preview", json=schedule(), headers=as_user(VERA))
    assert (preview.status_code, (await create(keyed, user=VERA)).status_code) == (200, 403)


async def test_schedules_are_listed_from_the_tables(stage: Stage) -> None:
    """The same documents, newest first, page by page, and narrowed."""
    documents = [await created(stage, name=name, enabled=name != "b") for name in "abc"]
    for document in documents:
        stage.status.show_schedule(await stage.log.schedule((await state(stage, document["schedule_id"])).id))
    newest_first = [document["schedule_id"] for document in reversed(documents)]
    page = (await stage.client.get(PATH, params={"limit": 2})).json()
    rest = (await stage.client.get(PATH, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [item["schedule_id"] for item in page["items"] + rest["items"]] == newest_first
    assert rest == {"items": [documents[0]], "next_cursor": None}
    SchedulePage.model_validate(page)
    narrowed = [
        (await stage.client.get(PATH, params=params)).json()["items"]
        for params in ({"enabled": "false"}, {"user_id": "ada"}, {"strategy_id": "sma-crossover"})
    ]
    assert [[item["name"] for item in items] for items in narrowed] == [["b"], [], ["c", "b", "a"]]


@pytest.mark.parametrize("rest", ["", "/{schedule_id}/history"])
async def test_lists_need_the_status_service_and_say_so(stage: Stage, rest: str) -> None:
    """503 with what works without it, and when to try again."""
    schedule_id = (await created(stage))["schedule_id"]
    stage.status.away = True
    response = await stage.client.get(PATH + rest.format(schedule_id=schedule_id))
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert "works without it" in response.json()["detail"]
    assert response.headers["Retry-After"]


async def test_history_is_told_newest_first(stage: Stage) -> None:
    """What the tables have, with the state of each run; nothing yet of what they do not know."""
    made = await stored(stage)
    path = f"{PATH}/{made.id}/history"
    assert (await stage.client.get(path)).json() == {"items": [], "next_cursor": None}
    task_id = fire(made, stamp(1))
    run = scheduled_run(made, task_id, stamp(1))
    fire(made, stamp(2), verdict=Drop(SkipReason.OVERLAP, task_id))
    await stage.log.append([*made.collect_events(), *run.collect_events()])
    stage.status.show(run)
    stage.status.show_schedule(made, await stage.log.streams([made.id]))
    skipped, fired, creation = HistoryPage.model_validate_json((await stage.client.get(path)).content).items
    assert (skipped.type, skipped.reason, skipped.running_task_id) == ("skipped", "overlap", task_id)
    assert (fired.type, fired.task_id, fired.task_state, fired.task_status) == ("fired", task_id, "PENDING", "queued")
    assert (creation.type, creation.task_id, creation.task_state) == ("created", None, None)
    first = (await stage.client.get(path, params={"limit": 2})).json()
    assert [item["type"] for item in first["items"]] == ["skipped", "fired"]
    rest = (await stage.client.get(path, params={"cursor": first["next_cursor"]})).json()
    assert [item["type"] for item in rest["items"]] == ["created"]


async def test_a_schedule_whose_calendar_is_no_more_is_shown_all_the_same(stage: Stage) -> None:
    """Without a next time, and with the reason; the others of the list do not suffer."""
    made = await stored(stage, calendar="GONE")
    document = (await stage.client.get(f"{PATH}/{made.id}")).json()
    assert (document["calendar"], document["next_fire_at"]) == ("GONE", None)
    upcoming = (await stage.client.get(f"{PATH}/{made.id}/upcoming")).json()
    assert (upcoming["items"], "cannot be computed" in upcoming["reason"]) == ([], True)
    stage.status.show_schedule(made)
    assert [item["schedule_id"] for item in (await stage.client.get(PATH)).json()["items"]] == [str(made.id)]
