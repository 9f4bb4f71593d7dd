"""What is said of a schedule, at moments that a test chooses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.gateway.schedule_answers import Counters, OpenBackfill, ScheduleAnswer
from services.gateway.schedule_documents import next_fire_at, schedule_document, upcoming_document
from shared.domain.overlap import Hold
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, Overlap
from shared.domain.schedule_state import ScheduleState
from shared.domain.timing import When
from tests.builders import NOW, stamp
from tests.schedule_builders import fire, schedule

HOUR = timedelta(hours=1)
HOURLY: dict[str, Any] = {"when": When(every_seconds=3600.0), "start_at": NOW}
"""On NOW, and each hour from there."""


def _hourly(*, created: float = -1, **changes: Any) -> Schedule:
    return schedule(at=stamp(created), **(HOURLY | changes))


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (timedelta(minutes=-1), NOW),
        (timedelta(), NOW),
        (timedelta(seconds=299), NOW),
        (timedelta(seconds=300), NOW + HOUR),
        (timedelta(minutes=30), NOW + HOUR),
        (timedelta(minutes=61), NOW + HOUR),
        (timedelta(minutes=66), NOW + 2 * HOUR),
    ],
)
def test_a_time_that_can_be_caught_up_is_the_next_one(late: timedelta, expected: datetime) -> None:
    """One that nobody has settled fires within its catch-up; after that it is missed, and not waited for."""
    assert next_fire_at(_hourly().state, NOW + late) == expected


def test_jitter_keeps_a_time_the_next_one_for_longer() -> None:
    """It may be due so much later."""
    made = _hourly(catchup_seconds=0.0, jitter_seconds=600.0).state
    assert [next_fire_at(made, NOW + timedelta(minutes=late)) for late in (9, 10)] == [NOW, NOW + HOUR]


def test_a_time_that_is_settled_is_not_the_next_one() -> None:
    """Though it could be caught up yet."""
    made = _hourly()
    fire(made, stamp(1), nominal_at=NOW)
    assert next_fire_at(made.state, NOW + timedelta(seconds=2)) == NOW + HOUR


def _disabled(made: Schedule) -> None:
    made.disable(stamp(1))


def _deleted(made: Schedule) -> None:
    made.delete(stamp(1))


def _used_up(made: Schedule) -> None:
    fire(made, stamp(1))


@pytest.mark.parametrize("end", [_disabled, _deleted, _used_up])
def test_a_schedule_that_does_not_fire_has_no_next_time(end: Any) -> None:
    """Whatever its definition says."""
    made = _hourly(max_runs=1)
    end(made)
    assert next_fire_at(made.state, NOW) is None


def test_times_to_come_begin_after_those_that_are_settled() -> None:
    """One that is settled before its moment, such as by another beat with a faster clock, is not told again."""
    made = _hourly()
    fire(made, stamp(1), nominal_at=NOW)
    document = upcoming_document(made.state, most=2, now=NOW - timedelta(minutes=1))
    assert [item["at"] for item in document["items"]] == ["2026-03-02T15:30:00Z", "2026-03-02T16:30:00Z"]


def test_the_last_times_are_told_until_there_are_none() -> None:
    """The end itself counts."""
    made = _hourly(end_at=NOW + 2 * HOUR, timezone="America/New_York").state
    two, none = [upcoming_document(made, most=10, now=NOW + passed * HOUR) for passed in (0, 2)]
    assert [item["local"] for item in two["items"]] == ["2026-03-02T10:30:00-05:00", "2026-03-02T11:30:00-05:00"]
    assert (two["reason"], none) == (
        None,
        {"items": [], "timezone": "America/New_York", "reason": "no times are left"},
    )


def test_open_runs_and_backfills_are_listed() -> None:
    """A held run is not among the running ones, also when it is to be cancelled."""
    made = _hourly()
    first = fire(made, stamp(1))
    held = fire(made, stamp(2), verdict=Hold())
    backfill_id = uuid4()
    made.request_backfill(
        stamp(3), backfill_id=backfill_id, start=NOW, end=NOW + HOUR, overlap=Overlap.BUFFER_ALL, count=2
    )
    fire(made, stamp(4), nominal_at=NOW, kind=FiringKind.BACKFILL, request_id=backfill_id, verdict=Hold((held,)))
    document = schedule_document(made.state, now=NOW)
    assert document["running"] == [str(first)]
    assert (len(document["held"]), document["held"][0]) == (2, str(held))
    (backfill,) = document["backfills"]
    assert (backfill["backfill_id"], backfill["settled_until"]) == (str(backfill_id), "2026-03-02T14:30:00Z")
    assert document["counters"] == dict.fromkeys(Counters.model_fields, 0) | {"fired": 1, "buffered": 2}
    ScheduleAnswer.model_validate_json(msgspec.json.encode(document))


def test_the_model_has_the_fields_of_the_fold() -> None:
    """A field that is added to a schedule must be documented; some are told in other words."""
    document = schedule_document(_hourly().state, now=NOW)
    assert set(document) == set(ScheduleAnswer.model_fields)
    assert set(document["counters"]) == set(Counters.model_fields)
    told = set(document) | set(Counters.model_fields)
    otherwise = {"id", "definition", "settled_until", "request_hash", "runs", "used"}
    assert set(ScheduleState.__struct_fields__) - otherwise <= told
    assert set(ScheduleState.__struct_fields__) >= otherwise


def test_a_backfill_has_the_documented_fields() -> None:
    """None of them is left out."""
    made = _hourly()
    made.request_backfill(stamp(1), backfill_id=UUID(int=1), start=NOW, end=NOW, overlap=Overlap.SKIP, count=1)
    (backfill,) = schedule_document(made.state, now=NOW)["backfills"]
    assert set(backfill) == set(OpenBackfill.model_fields)


def test_a_calendar_that_ends_says_so() -> None:
    """Hong Kong's holidays are known to the library until 2049: what comes then needs a newer one."""
    made = schedule(when=When(cron="0 9 * * *"), calendar="XHKG").state
    told = upcoming_document(made, most=3, now=datetime(2050, 1, 3, tzinfo=UTC))
    assert told["items"] == []
    assert told["reason"].startswith("the sessions of XHKG are known until 2049-12-31 only")
