"""Rows of schedules and of what happens to them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from services.status.schedule_projection import TOPICS
from services.status.schedule_rows import history_row, schedule_row
from services.status.tables import columns, schedule_history, schedules
from shared.domain.events import EVENTS, Event
from shared.domain.firing import Missed
from shared.domain.overlap import Drop, Hold, Start
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, Overlap, ScheduleEvent, SkipReason
from shared.log.runs import Recorded
from shared.log.schedules import decode_snapshot
from tests.builders import NOW, stamp
from tests.schedule_builders import definition, fire, schedule
from tests.schedule_histories import SCHEDULE_ACTIONS, schedules_at_work

ONE, OTHER = uuid4(), uuid4()


def newest(known: Schedule) -> Event:
    """What was decided last."""
    return known.collect_events()[-1]


def told(event: Event) -> dict[str, Any]:
    """What the row of an event says beside what every row does."""
    row = history_row(Recorded(7, event))
    assert list(row) == columns(schedule_history)
    assert (row.pop("schedule_id"), row.pop("position"), row.pop("at")) == (event.originator_id, 7, event.at)
    assert row.pop("actor") == event.actor
    return {name: value for name, value in row.items() if value is not None}


def test_every_event_of_a_schedule_has_a_row() -> None:
    """Whatever topic is registered under the name of schedules, it is projected, and its type is the rest of it."""
    moves = [(0, action) for action in ("hold", "release", *SCHEDULE_ACTIONS)]
    events = [event for append in schedules_at_work(moves) for event in append if isinstance(event, ScheduleEvent)]
    assert {told(event)["type"] for event in events} == {topic.removeprefix("schedule.") for topic in TOPICS}
    assert set(TOPICS) == {topic for topic in EVENTS.topics if issubclass(EVENTS[topic], ScheduleEvent)}


def test_a_firing_tells_its_time_and_its_run() -> None:
    """Of its own times, or of those that somebody asked for."""
    known = schedule()
    task_id = fire(known, stamp(2), nominal_at=stamp(1).at)
    assert told(newest(known)) == {"type": "fired", "kind": "schedule", "nominal_at": stamp(1).at, "task_id": task_id}
    task_id = fire(known, stamp(3), kind=FiringKind.TRIGGER, request_id=ONE, verdict=Start(terminates=(task_id,)))
    row = {"type": "fired", "kind": "trigger", "nominal_at": stamp(3).at, "request_id": ONE, "task_id": task_id}
    assert told(newest(known)) == row
    task_id = fire(known, stamp(4), verdict=Hold())
    assert told(newest(known)) == {
        "type": "buffered",
        "kind": "schedule",
        "nominal_at": stamp(4).at,
        "task_id": task_id,
    }


@pytest.mark.parametrize("reason", SkipReason)
def test_a_skipped_time_tells_why(reason: SkipReason) -> None:
    """With the run that was in the way, and no run of its own."""
    known = schedule()
    fire(known, stamp(1), verdict=Drop(reason, ONE))
    row = {"type": "skipped", "kind": "schedule", "nominal_at": stamp(1).at, "running_task_id": ONE}
    assert told(newest(known)) == row | {"reason": str(reason)}


def test_missed_times_tell_from_when_to_when_and_how_many() -> None:
    """They are of its own times always."""
    known = schedule()
    known.record(stamp(9), Missed(stamp(1).at, stamp(5).at, 5))
    row = {"type": "missed", "kind": "schedule", "nominal_at": stamp(1).at, "last_at": stamp(5).at, "count": 5}
    assert told(newest(known)) == row


def test_a_backfill_bears_the_id_of_its_request_from_beginning_to_end() -> None:
    """So that its firings are found between."""
    known = schedule()
    known.request_backfill(stamp(1), backfill_id=ONE, start=NOW, end=stamp(1).at, overlap=Overlap.SKIP, count=2)
    own = {"kind": "backfill", "request_id": ONE}
    row = {"type": "backfill_requested", "nominal_at": NOW, "last_at": stamp(1).at, "count": 2} | own
    assert told(newest(known)) == row
    task_id = fire(known, stamp(2), kind=FiringKind.BACKFILL, request_id=ONE)
    assert told(newest(known)) == {"type": "fired", "nominal_at": stamp(2).at, "task_id": task_id} | own
    known.finish_backfill(stamp(3), ONE)
    assert told(newest(known)) == {"type": "backfill_finished"} | own


def test_what_its_owner_does_is_told_with_the_reason() -> None:
    """One that is disabled by hand may have none."""
    known = schedule()
    known.disable(stamp(1), reason="task failed: bad\0byte", ended=(OTHER,))
    assert told(newest(known)) == {"type": "disabled", "reason": "task failed: bad\ufffdbyte"}
    known.enable(stamp(2))
    assert told(newest(known)) == {"type": "enabled"}
    known.disable(stamp(3))
    assert told(newest(known)) == {"type": "disabled"}
    known.change(stamp(4), definition(name="other"))
    assert told(newest(known)) == {"type": "changed"}


def test_a_run_that_is_let_go_or_comes_back_is_named() -> None:
    """By its task id."""
    known = schedule()
    held = fire(known, stamp(1), verdict=Hold())
    known.release(stamp(2), held)
    assert told(newest(known)) == {"type": "released", "task_id": held}
    known.return_run(stamp(3), held)
    assert told(newest(known)) == {"type": "run_returned", "task_id": held}


def test_a_schedules_row_has_what_queries_look_for_beside_the_fold() -> None:
    """Whether it is deleted is a column; the fold comes back as it was, NUL characters included."""
    known = schedule(enabled=False, name="a\0b")
    fire(known, stamp(1))
    row = schedule_row(known.state, 7)
    assert list(row) == columns(schedules)
    assert (row["schedule_id"], row["enabled"], row["deleted"]) == (known.id, False, False)
    assert (row["name"], row["created_at"], row["position"]) == ("a\ufffdb", NOW, 7)
    assert decode_snapshot(row["state"]) == known.state
    known.delete(stamp(2))
    assert schedule_row(known.state, 8)["deleted"] is True
