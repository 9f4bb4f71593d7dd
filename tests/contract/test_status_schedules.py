"""What the gateway relies on in the status service of schedules: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from shared.domain.firing import Missed
from shared.domain.overlap import Drop, Hold
from shared.domain.schedule_events import Overlap, SkipReason
from shared.domain.schedule_state import ScheduleState
from tests.builders import NOW, stamp
from tests.contract.status_services import KINDS, Side
from tests.schedule_builders import definition, fire, schedule, scheduled_run

HISTORY_FIELDS = {
    *("position", "at", "type", "kind", "nominal_at", "last_at", "request_id", "task_id", "reason"),
    *("running_task_id", "count", "actor", "task_state", "task_status"),
}


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_schedules_are_their_folds_to_the_letter(side: Side) -> None:
    """Runs and backfills in it, whatever values parameters have, and times to the microsecond."""
    known = schedule(at=stamp(0.123456), parameters={"a": 1.0, "b": [None, "ü\0"], "c": {}}, start_at=NOW)
    running, asked = fire(known, stamp(1)), uuid4()
    fire(known, stamp(2), verdict=Hold(cancels=(running,)))
    known.request_backfill(
        stamp(3), backfill_id=asked, start=NOW, end=NOW + timedelta(hours=8), overlap=Overlap.SKIP, count=3
    )
    side.show_schedule(known)
    answer = await side.get("/schedules")
    assert answer.content == b'{"items":[' + msgspec.json.encode(known.state) + b'],"next_cursor":null}'


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["d", "c", "a"]),
        ({"strategy_id": "other"}, ["c"]),
        ({"user_id": "bob"}, ["d"]),
        ({"enabled": "true"}, ["d", "a"]),
        ({"enabled": "false"}, ["c"]),
        ({"enabled": "false", "strategy_id": "sma-crossover"}, []),
    ],
)
async def test_schedules_are_newest_first_narrowed_and_paged(
    side: Side, wanted: dict[str, str], found: list[str]
) -> None:
    """Conditions hold together, deleted ones are left out, and following next_cursor gives every schedule once."""
    deleted = schedule(at=stamp(1), name="b")
    deleted.delete(stamp(9))
    for each in (
        schedule(at=stamp(0), name="a"),
        deleted,
        schedule(at=stamp(2), name="c", strategy_id="other", enabled=False),
        schedule(at=stamp(3), name="d", user_id="bob"),
    ):
        side.show_schedule(each)
    for limit in (1, 50):
        items = await side.pages("/schedules", limit=limit, **wanted)
        states = [msgspec.convert(item, ScheduleState) for item in items]
        assert [state.definition.name for state in states] == found


async def test_a_schedule_is_shown_as_it_is_now(side: Side) -> None:
    """What happens later replaces what was shown, and adds to the history."""
    known = schedule()
    side.show_schedule(known)
    known.change(stamp(1), definition(name="renamed"))
    known.disable(stamp(2), reason="holidays")
    side.show_schedule(known)
    (item,) = (await side.get("/schedules")).json()["items"]
    assert (item["definition"]["name"], item["enabled"], item["disabled_reason"]) == ("renamed", False, "holidays")
    rows = (await side.get(f"/schedules/{known.id}/history")).json()["items"]
    assert [(row["type"], row["reason"]) for row in rows] == [
        ("disabled", "holidays"),
        ("changed", None),
        ("created", None),
    ]


async def test_a_history_has_a_row_for_each_event_newest_first(side: Side) -> None:
    """With what it is about and, for one with a run, how that is by now; what does not apply is null."""
    known, asked = schedule(), uuid4()
    first = fire(known, stamp(1))
    fire(known, stamp(2), verdict=Drop(SkipReason.OVERLAP, first))
    known.record(stamp(3), Missed(stamp(2.1).at, stamp(2.9).at, 5))
    held = fire(known, stamp(4), verdict=Hold())
    known.release(stamp(5), held, ended=(first,))
    known.request_backfill(stamp(6), backfill_id=asked, start=NOW, end=stamp(1).at, overlap=Overlap.SKIP, count=2)
    side.show_schedule(known)
    ended = scheduled_run(known, first, stamp(1))
    ended.request_cancel(stamp(2))
    side.show(ended, scheduled_run(known, held, stamp(4), held=True))

    rows = await side.pages(f"/schedules/{known.id}/history", limit=2)

    assert all(set(row) == HISTORY_FIELDS for row in rows)
    positions = [row.pop("position") for row in rows]
    assert positions == sorted(set(positions), reverse=True)
    assert [row.pop("at") for row in rows] == [f"2026-03-02T14:30:0{second}Z" for second in (6, 5, 4, 3, 2, 1, 0)]
    assert {row.pop("actor") for row in rows} == {"user:ada"}
    of_first = {"task_id": str(first), "task_state": "REVOKED", "task_status": "cancelled"}
    of_held = {"task_id": str(held), "task_state": "PENDING", "task_status": "queued"}
    of_backfill = {"kind": "backfill", "request_id": str(asked), "last_at": "2026-03-02T14:30:01Z", "count": 2}
    of_missed = {"kind": "schedule", "last_at": "2026-03-02T14:30:02.900000Z", "count": 5}
    of_skipped = {"kind": "schedule", "reason": "overlap", "running_task_id": str(first)}
    assert [{name: value for name, value in row.items() if value is not None} for row in rows] == [
        {"type": "backfill_requested", "nominal_at": "2026-03-02T14:30:00Z"} | of_backfill,
        {"type": "released"} | of_held,
        {"type": "buffered", "kind": "schedule", "nominal_at": "2026-03-02T14:30:04Z"} | of_held,
        {"type": "missed", "nominal_at": "2026-03-02T14:30:02.100000Z"} | of_missed,
        {"type": "skipped", "nominal_at": "2026-03-02T14:30:02Z"} | of_skipped,
        {"type": "fired", "kind": "schedule", "nominal_at": "2026-03-02T14:30:01Z"} | of_first,
        {"type": "created"},
    ]


async def test_the_history_of_a_deleted_schedule_stays(side: Side) -> None:
    """Its record is still there, in no list."""
    known = schedule()
    known.delete(stamp(1))
    side.show_schedule(known)
    assert (await side.get("/schedules")).json() == {"items": [], "next_cursor": None}
    rows = (await side.get(f"/schedules/{known.id}/history")).json()["items"]
    assert [row["type"] for row in rows] == ["deleted", "created"]


async def test_an_unknown_schedule_has_no_history(side: Side) -> None:
    """Not found, by a code of its own."""
    answer = await side.get(f"/schedules/{uuid4()}/history")
    assert (answer.status_code, answer.json()["code"]) == (404, "schedule_not_found")


@pytest.mark.parametrize("path", ["/schedules", "/schedules/{id}/history"])
async def test_a_foreign_cursor_of_a_list_of_schedules_is_bad_input(side: Side, path: str) -> None:
    """The refusal names the field."""
    known = schedule()
    side.show_schedule(known)
    answer = await side.get(path.format(id=known.id), cursor="abc")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]
