"""Having past times fire over HTTP: what is accepted, and that it is accepted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.domain.schedule import MOST_BACKFILLS
from shared.domain.schedule_events import BackfillAccepted, BackfillRequested, Overlap
from shared.domain.timing import When
from tests.builders import stamp
from tests.integration.gateway.scheduling import PATH, created, events, state, stored
from tests.integration.gateway.stage import Stage, publish, strategy, task

START, END = "2026-01-05T00:00:00Z", "2026-01-05T02:00:00Z"


async def _backfill(stage: Stage, schedule_id: str, key: str | None = None, **changes: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"start": START, "end": END} | changes
    return await stage.client.post(f"{PATH}/{schedule_id}/backfill", json=body, headers=headers)


async def test_past_times_are_asked_for_and_counted(stage: Stage) -> None:
    """Both ends are included; the schedule and the backfill's own stream know of it in one append."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await _backfill(stage, schedule_id)
    answer = response.json()
    assert response.status_code == 202
    wanted = {"schedule_id": schedule_id, "start": START, "end": END, "overlap": "buffer_all", "count": 3}
    assert answer == wanted | {"backfill_id": answer["backfill_id"]}
    requested = (await events(stage, schedule_id))[-1]
    (accepted,) = await events(stage, answer["backfill_id"])
    assert isinstance(requested, BackfillRequested)
    assert isinstance(accepted, BackfillAccepted)
    assert (requested.count, requested.overlap, requested.actor) == (3, Overlap.BUFFER_ALL, "user:local")
    assert (accepted.append_id, str(accepted.schedule_id)) == (requested.append_id, schedule_id)
    document = (await stage.client.get(f"{PATH}/{schedule_id}")).json()
    unfinished = {name: answer[name] for name in ("backfill_id", "start", "end", "overlap")}
    assert document["backfills"] == [unfinished | {"settled_until": None}]


async def test_one_that_is_finished_is_shown_no_more(stage: Stage) -> None:
    """The document lists what is left to do."""
    made = await stored(stage, when=When(cron="@hourly"), user_id="local")
    backfill_id = (await _backfill(stage, str(made.id), overlap="allow_all")).json()["backfill_id"]
    found = await stage.log.schedule(made.id)
    found.finish_backfill(stamp(), UUID(backfill_id))
    await stage.log.append(found.collect_events())
    assert (await stage.client.get(f"{PATH}/{made.id}")).json()["backfills"] == []


@pytest.mark.parametrize(("method", "rest"), [("POST", "/disable"), ("PATCH", "")])
async def test_it_needs_no_schedule_that_fires(stage: Stage, method: str, rest: str) -> None:
    """A disabled one has past times too, and so has one whose end is over."""
    made = await stored(stage, when=When(cron="@hourly"), end_at=datetime(2026, 1, 6, tzinfo=UTC), user_id="local")
    await stage.client.request(method, f"{PATH}/{made.id}{rest}", **({} if rest else {"json": {"max_runs": 1}}))  # type: ignore[arg-type]
    assert (await _backfill(stage, str(made.id))).json()["count"] == 3


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"end": START}, "end", "later than start"),
        ({"start": END, "end": START}, "end", "later than start"),
        ({"end": "2199-01-01T00:00:00Z"}, "end", "lies in the future: here it is 20"),
        ({"start": "2025-01-01T00:00:00Z"}, "end", "more than 1000 times: choose a shorter range"),
        ({"start": "1970-01-01T00:00:00Z"}, "end", "more than 1000 times"),
        ({"start": "2026-01-05T00:01:00Z", "end": "2026-01-05T00:59:00Z"}, "end", "no time of the schedule"),
        ({"start": None}, "start", "ISO 8601"),
        ({"start": "2026-01-05"}, "start", "with its zone"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start", "between 1970 and 2200"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "end", "between 1970 and 2200"),
        ({"overlap": "never"}, "overlap", "'skip'"),
        ({"overlap": None}, "overlap", "'skip'"),
        ({"count": 3}, "count", "not known here"),
    ],
)
async def test_a_wrong_range_is_refused_by_the_name_of_its_field(
    stage: Stage, changes: dict[str, Any], field: str, says: str
) -> None:
    """Nothing is recorded then."""
    schedule_id = (await created(stage))["schedule_id"]
    response = await _backfill(stage, schedule_id, **changes)
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    assert (error["field"], says in error["message"]) == (field, True), error
    assert (await state(stage, schedule_id)).version == 1


async def test_a_thousand_times_are_accepted_and_not_one_more(stage: Stage) -> None:
    """The bound itself is within it."""
    schedule_id = (await created(stage))["schedule_id"]
    end = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=999)
    most, more = [
        await _backfill(stage, schedule_id, start="2025-01-01T00:00:00Z", end=moment.isoformat())
        for moment in (end, end + timedelta(hours=1))
    ]
    assert (most.status_code, most.json()["count"], more.status_code) == (202, 1000, 422)


async def test_days_without_a_session_do_not_count(stage: Stage) -> None:
    """2 January 2026 was a Friday, and New Year a holiday."""
    daily = {"when": {"cron": "0 12 * * *"}, "timezone": "America/New_York", "calendar": "XNYS"}
    schedule_id = (await created(stage, **daily))["schedule_id"]
    response = await _backfill(stage, schedule_id, start="2026-01-01T00:00:00Z", end="2026-01-06T00:00:00Z")
    assert response.json()["count"] == 2


async def test_a_strategy_that_has_gone_is_told_at_once(stage: Stage) -> None:
    """Every time of the range would be skipped."""
    made = await stored(stage, strategy_id="gone", user_id="local")
    response = await _backfill(stage, str(made.id))
    assert (response.status_code, response.json()["code"]) == (404, "strategy_not_found")


async def test_the_same_request_again_is_answered_the_same(stage: Stage) -> None:
    """Also after the schedule has changed, and is gone; another body, and another schedule, are refused."""
    schedule_id, other_id = [(await created(stage))["schedule_id"] for _ in range(2)]
    first = await _backfill(stage, schedule_id, "once")
    await stage.client.patch(f"{PATH}/{schedule_id}", json={"when": {"cron": "@daily"}})
    again = [await _backfill(stage, schedule_id, "once")]
    refused = [
        await _backfill(stage, schedule_id, "once", overlap="skip"),
        await _backfill(stage, other_id, "once"),
        await stage.client.post("/api/tasks", json=task(), headers={"Idempotency-Key": "once"}),
    ]
    await publish(stage.log, strategy(strategy_id="another"))
    await stage.knows("another")
    await stage.client.delete(f"{PATH}/{schedule_id}")
    again.append(await _backfill(stage, schedule_id, "once"))
    assert first.status_code == 202
    assert [(each.status_code, each.json()) for each in again] == [(200, first.json())] * 2
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "idempotency_key_reused")] * 3


async def test_twenty_at_once_ask_for_it_once(stage: Stage) -> None:
    """Whoever appends first; all the others are answered with it."""
    schedule_id = (await created(stage))["schedule_id"]
    answers = await asyncio.gather(*(_backfill(stage, schedule_id, "once") for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 19}
    assert len({answer.json()["backfill_id"] for answer in answers}) == 1
    assert (await state(stage, schedule_id)).version == 2


async def test_without_a_key_each_request_is_one_of_its_own(stage: Stage) -> None:
    """Past times may fire as often as somebody likes, also at once."""
    schedule_id = (await created(stage))["schedule_id"]
    answers = await asyncio.gather(*(_backfill(stage, schedule_id) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len((await state(stage, schedule_id)).backfills) == 5


async def test_a_schedule_takes_so_many_backfills_and_no_more(stage: Stage) -> None:
    """Until one of them is finished; what was accepted under a key is answered again all the same."""
    schedule_id = (await created(stage))["schedule_id"]
    first = (await _backfill(stage, schedule_id, key="one")).json()
    for _ in range(MOST_BACKFILLS - 1):
        assert (await _backfill(stage, schedule_id)).status_code == 202
    refused = await _backfill(stage, schedule_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_backfills")
    again = await _backfill(stage, schedule_id, key="one")
    assert (again.status_code, again.json()) == (200, first)
    mine = await stage.log.schedule(UUID(schedule_id))
    mine.finish_backfill(stamp(), UUID(first["backfill_id"]))
    await stage.log.append(mine.collect_events())
    assert (await _backfill(stage, schedule_id)).status_code == 202
