"""Changing, enabling, disabling and deleting schedules over HTTP, also all at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.gateway import agreement
from shared.domain.errors import VersionConflict
from shared.domain.events import Event
from shared.domain.schedule_events import (
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    ScheduleDisabled,
    ScheduleEnabled,
)
from shared.domain.timing import When
from shared.log.async_event_log import AsyncEventLog
from tests.integration.gateway.scheduling import PATH, change, created, events, state, stored, trigger
from tests.integration.gateway.stage import Stage, publish, settings, staged, strategy

LONG_AGO = datetime(2020, 1, 6, 14, 30, tzinfo=UTC)
CHANGES: dict[str, Any] = {
    "name": "renamed \u00e9",
    "symbols": ["BRK.B"],
    "parameters": {"fast": 5},
    "priority": "low",
    "labels": {"desk": "us"},
    "max_retries": 1,
    "timeout_seconds": 60,
    "result_ttl_seconds": 60,
    "when": {"every_seconds": 3600},
    "timezone": "Asia/Tokyo",
    "calendar": "XNYS",
    "start_at": "2026-01-01T00:00:00Z",
    "end_at": "2199-01-01T00:00:00Z",
    "overlap": "allow_all",
    "catchup_seconds": 0,
    "jitter_seconds": 60,
    "max_runs": 1,
    "pause_on_failure": True,
}
TO_NOTHING: dict[str, Any] = dict.fromkeys(
    ("max_retries", "timeout_seconds", "result_ttl_seconds", "calendar", "start_at", "end_at", "max_runs")
)


def _kinds(happened: list[Event]) -> list[type[Event]]:
    return [type(event) for event in happened]


async def _raced(*requests: Any) -> list[int]:
    answers = await asyncio.gather(*requests)
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("field", CHANGES)
async def test_a_field_is_changed_and_the_others_stay(stage: Stage, field: str) -> None:
    """One event with the whole definition; the same again adds none."""
    before = await created(stage)
    response = await change(stage, before["schedule_id"], **{field: CHANGES[field]})
    assert response.status_code == 200, response.text
    untold = {"version", "changed_at", "next_fire_at"}
    after = response.json()
    assert {name: after[name] for name in after if name not in untold} == {
        name: before[name] for name in before if name not in untold
    } | {field: CHANGES[field]}
    assert (await stage.client.get(f"{PATH}/{before['schedule_id']}")).json() == after
    again = await change(stage, before["schedule_id"], **{field: CHANGES[field]})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert _kinds(await events(stage, before["schedule_id"])) == [ScheduleCreated, ScheduleChanged]


@pytest.mark.parametrize("field", TO_NOTHING)
async def test_null_takes_a_value_away_where_there_may_be_none(stage: Stage, field: str) -> None:
    """It is a value of these fields."""
    before = await created(stage, **{name: CHANGES[name] for name in TO_NOTHING})
    response = await change(stage, before["schedule_id"], **{field: None})
    assert (response.status_code, response.json()[field]) == (200, None)


@pytest.mark.parametrize("field", [name for name in [*CHANGES, "strategy_id", "enabled"] if name not in TO_NOTHING])
async def test_null_is_refused_where_there_must_be_a_value(stage: Stage, field: str) -> None:
    """What is left out stays as it is; null is not the same."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await change(stage, schedule_id, **{field: None})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert (await state(stage, schedule_id)).version == 1


async def test_nothing_changes_nothing(stage: Stage) -> None:
    """An empty body is no mistake."""
    before = await created(stage)
    response = await change(stage, before["schedule_id"])
    assert (response.status_code, response.json()) == (200, before)


async def test_a_definition_and_whether_it_fires_change_together(stage: Stage) -> None:
    """Two events in one append."""
    schedule_id = (await created(stage, enabled=False))["schedule_id"]
    response = await change(stage, schedule_id, name="new", enabled=True)
    assert (response.json()["name"], response.json()["enabled"]) == ("new", True)
    happened = await events(stage, schedule_id)
    assert _kinds(happened) == [ScheduleCreated, ScheduleChanged, ScheduleEnabled]
    assert happened[1].append_id == happened[2].append_id
    assert (await change(stage, schedule_id, enabled=False)).json()["next_fire_at"] is None
    assert _kinds(await events(stage, schedule_id))[3:] == [ScheduleDisabled]


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"when": {"at": "2020-01-01T00:00:00Z"}}, "when.at"),
        ({"end_at": "2020-01-01T00:00:00Z"}, "end_at"),
        ({"when": {"cron": "61 * * * *"}}, "when.cron"),
        ({"when": {"session": {"event": "open"}}}, "calendar"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"calendar": "NOWHERE"}, "calendar"),
        ({"when": {"at": "2199-01-31T14:30:00Z"}, "end_at": "2198-01-01T00:00:00Z"}, "when.at"),
        ({"parameters": {"fast": 0}}, "parameters.fast"),
        ({"parameters": {"fast": "\x00"}}, "parameters.fast"),
    ],
)
async def test_what_could_not_be_written_cannot_be_changed_to(
    stage: Stage, fields: dict[str, Any], refused: str
) -> None:
    """The same checks as at the creation, together with what stays."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await change(stage, schedule_id, **fields)
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == [refused]
    assert (await state(stage, schedule_id)).version == 1


async def test_another_strategy_must_be_there_and_take_the_parameters(stage: Stage) -> None:
    """Those that stay are checked by the new one's schema."""
    strict = {"type": "object", "properties": {"window": {"type": "integer"}}, "additionalProperties": False}
    await publish(stage.log, strategy(), strategy(strategy_id="strict", parameters_schema=strict))
    await stage.knows("strict")
    schedule_id = (await created(stage, parameters={"fast": 5}))["schedule_id"]
    gone, misfit = [await change(stage, schedule_id, strategy_id=name) for name in ("gone", "strict")]
    assert (gone.status_code, gone.json()["code"]) == (404, "strategy_not_found")
    assert [error["field"] for error in misfit.json()["errors"]] == ["parameters.fast"]
    assert (await change(stage, schedule_id, strategy_id="strict", parameters={"window": 3})).status_code == 200


@pytest.mark.parametrize("spent", [{"when": When(at=LONG_AGO)}, {"end_at": LONG_AGO}], ids=["at", "end_at"])
@pytest.mark.parametrize(
    "fields", [{"name": "new"}, {"timezone": "Asia/Tokyo"}, {"calendar": "XNYS"}, {"symbols": ["IBM"]}], ids=str
)
async def test_times_that_are_past_do_not_keep_the_rest_from_changing(
    stage: Stage, spent: dict[str, Any], fields: dict[str, Any]
) -> None:
    """They were right once. Sent again as they are, they are no change."""
    schedule_id = str((await stored(stage, **spent)).id)
    document = (await stage.client.get(f"{PATH}/{schedule_id}")).json()
    same = {name: document[name] for name in spent}
    response = await change(stage, schedule_id, **fields, **same)
    assert response.status_code == 200, response.text
    assert {name: response.json()[name] for name in fields} == fields


@pytest.mark.parametrize("fields", [{"name": "new"}, {"when": {"cron": "@daily"}}, {"enabled": False}])
async def test_a_strategy_that_has_gone_does_not_keep_the_rest_from_changing(
    stage: Stage, fields: dict[str, Any]
) -> None:
    """Only what would run is checked against it."""
    schedule_id = str((await stored(stage, strategy_id="gone")).id)
    assert (await change(stage, schedule_id, **fields)).status_code == 200
    assert (await change(stage, schedule_id, parameters={"fast": 5})).json()["code"] == "strategy_not_found"


async def test_without_a_catalogue_times_can_be_changed(migrated_database_url: str, tmp_path: Path) -> None:
    """No executor has published anything yet: what runs cannot be checked, and does not have to be."""
    async with staged(settings(migrated_database_url, home=tmp_path)) as stage:
        schedule_id = str((await stored(stage)).id)
        changed = await change(stage, schedule_id, when={"cron": "@daily"})
        refused = await change(stage, schedule_id, symbols=["IBM"], parameters={})
        assert (changed.status_code, refused.status_code) == (200, 503)


async def test_enabling_and_disabling_again_changes_nothing(stage: Stage) -> None:
    """The reason of the first time stays; enabling takes it away."""
    path = f"{PATH}/{(await created(stage))['schedule_id']}"
    disabled = await stage.client.post(f"{path}/disable", params={"reason": "earnings season"})
    again = await stage.client.post(f"{path}/disable", params={"reason": "another"})
    assert (disabled.status_code, again.json()) == (200, disabled.json())
    assert (disabled.json()["enabled"], disabled.json()["disabled_reason"]) == (False, "earnings season")
    enabled, still = [await stage.client.post(f"{path}/enable") for _ in range(2)]
    assert (enabled.status_code, still.json()) == (200, enabled.json())
    assert (enabled.json()["enabled"], enabled.json()["disabled_reason"], enabled.json()["version"]) == (True, None, 3)


async def test_a_deleted_schedule_is_not_found_and_says_since_when(stage: Stage) -> None:
    """The answer to the deletion is the last one about it; nothing can be done to it any more."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await stage.client.delete(f"{PATH}/{schedule_id}")
    document = response.json()
    assert (response.status_code, document["next_fire_at"]) == (200, None)
    assert document["deleted_at"] == document["changed_at"] is not None
    head = await stage.log.head()
    answers = [
        await stage.client.get(f"{PATH}/{schedule_id}"),
        await stage.client.delete(f"{PATH}/{schedule_id}"),
        await change(stage, schedule_id, name="new"),
        await trigger(stage, schedule_id),
        await stage.client.post(f"{PATH}/{schedule_id}/enable"),
        await stage.client.get(f"{PATH}/{schedule_id}/upcoming"),
        await stage.client.get(f"{PATH}/{schedule_id}/history"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "schedule_not_found")] * 7
    assert f"was deleted at {document['deleted_at']}" in answers[0].json()["detail"]
    assert await stage.log.head() == head


async def test_changes_at_once_are_all_made(stage: Stage) -> None:
    """Each is made on what the others have left: none is lost, and none is undone."""
    schedule_id = (await created(stage))["schedule_id"]
    fields: dict[str, Any] = {name: CHANGES[name] for name in CHANGES if name not in ("calendar", "start_at")}
    statuses = await _raced(*(change(stage, schedule_id, **{name: fields[name]}) for name in fields))
    assert statuses == [200] * len(fields)
    document = (await stage.client.get(f"{PATH}/{schedule_id}")).json()
    assert {name: document[name] for name in fields} == fields
    assert document["version"] == 1 + len(fields)


async def test_changes_by_two_gateways_at_once_are_all_made(catalogue_url: str, tmp_path: Path) -> None:
    """Replicas share nothing but the log, and that is enough."""
    configuration = settings(catalogue_url, home=tmp_path)
    async with staged(configuration) as one, staged(configuration) as two:
        schedule_id = (await created(one))["schedule_id"]
        turns: list[tuple[Stage, str, Any]] = [
            (one, "max_runs", 7),
            (two, "max_retries", 3),
            (one, "name", "new"),
            (two, "overlap", "allow_all"),
        ]
        statuses = await _raced(*(change(stage, schedule_id, **{name: value}) for stage, name, value in turns))
        assert statuses == [200] * 4
        document = (await two.client.get(f"{PATH}/{schedule_id}")).json()
        assert [document[name] for _, name, _ in turns] == [value for _, _, value in turns]


async def test_a_change_and_a_deletion_at_once_leave_it_deleted(stage: Stage) -> None:
    """The change was made before, or comes too late."""
    schedule_ids = [(await created(stage))["schedule_id"] for _ in range(5)]
    for schedule_id in schedule_ids:
        path = f"{PATH}/{schedule_id}"
        changed, deleted = await _raced(change(stage, schedule_id, name="x"), stage.client.delete(path))
        assert (changed in (200, 404), deleted) == (True, 200)
        kinds = _kinds(await events(stage, schedule_id))
        changes = [ScheduleChanged] if changed == 200 else []
        assert kinds == [ScheduleCreated, *changes, ScheduleDeleted]


async def test_of_two_deletions_at_once_one_finds_nothing(stage: Stage) -> None:
    """It is deleted once."""
    schedule_id = (await created(stage))["schedule_id"]
    statuses = await _raced(*(stage.client.delete(f"{PATH}/{schedule_id}") for _ in range(4)))
    assert sorted(statuses) == [200, 404, 404, 404]
    assert _kinds(await events(stage, schedule_id)) == [ScheduleCreated, ScheduleDeleted]


async def test_who_is_overtaken_every_time_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many tries the request is refused, and nothing of it is recorded."""
    schedule_id = (await created(stage))["schedule_id"]
    tries = 0

    async def overtaken(log: AsyncEventLog, *_: Any, **__: Any) -> list[int]:
        nonlocal tries
        tries += 1
        raise VersionConflict(UUID(schedule_id))

    monkeypatch.setattr(AsyncEventLog, "append", overtaken)
    response = await change(stage, schedule_id, name="new")
    assert (response.status_code, response.json()["code"]) == (409, "version_conflict")
    assert tries == agreement.MOST_TRIES
