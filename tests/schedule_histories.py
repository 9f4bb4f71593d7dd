"""Histories of schedules: whatever may happen to several of them, in any order that their commands allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from shared.domain.errors import Refused
from shared.domain.events import Event
from shared.domain.firing import Missed
from shared.domain.overlap import Drop, Hold, Start
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, Overlap, SkipReason
from tests.builders import stamp
from tests.schedule_builders import definition, fire, schedule, scheduled_run

SCHEDULE_ACTIONS = (
    "fire",
    "hold",
    "replace",
    "terminate",
    "skip",
    "trigger",
    "miss",
    "release",
    "return",
    "change",
    "disable",
    "enable",
    "ask",
    "backfill",
    "finish",
    "delete",
)


def act_on_schedule(known: Schedule, action: str, second: float) -> Sequence[Event]:
    """Do one thing to a schedule, or nothing when it is not possible now; return the events, also of a run submitted.

    What runs by then counts as ended with every other firing.
    """
    at, state = stamp(second), known.state
    others = tuple(state.runs)
    ended = others if int(second) % 2 else ()
    backfill = next(iter(state.backfills.values()), None)
    submissions: Sequence[Event] = ()
    try:
        match action:
            case "fire":
                task_id = fire(known, at, ended=ended)
                submissions = scheduled_run(known, task_id, at).collect_events()
            case "hold":
                task_id = fire(known, at, verdict=Hold(), ended=ended)
                submissions = scheduled_run(known, task_id, at, held=True).collect_events()
            case "replace":
                fire(known, at, verdict=Hold(cancels=others))
            case "terminate":
                fire(known, at, verdict=Start(terminates=others))
            case "skip":
                fire(known, at, verdict=Drop(SkipReason.OVERLAP, others[-1] if others else None), ended=ended)
            case "trigger":
                fire(known, at, kind=FiringKind.TRIGGER, request_id=uuid4())
            case "miss":
                known.record(at, Missed(at.at - timedelta(seconds=9), at.at - timedelta(seconds=1), 9))
            case "release" if state.held:
                known.release(at, state.held[0].task_id, ended=ended)
            case "return" if state.last_task_id is not None:
                known.return_run(at, state.last_task_id)
            case "change":
                known.change(at, definition(name=f"at-{second}", parameters={"second": second}))
            case "disable":
                known.disable(at, reason=f"task failed at {second}", ended=ended)
            case "enable":
                known.enable(at)
            case "ask":
                until = at.at + timedelta(hours=1)
                known.request_backfill(
                    at, backfill_id=uuid4(), start=at.at, end=until, overlap=Overlap.BUFFER_ALL, count=4
                )
            case "backfill" if backfill is not None:
                fire(known, at, kind=FiringKind.BACKFILL, request_id=backfill.id)
            case "finish" if backfill is not None:
                known.finish_backfill(at, backfill.id)
            case "delete":
                known.delete(at)
    except Refused:
        pass
    return [*known.collect_events(), *submissions]


def schedules_at_work(moves: Sequence[tuple[int, str]], *, number: int = 3) -> list[Sequence[Event]]:
    """What the moves of some schedules come to, as they interleave: one item an append."""
    known = [schedule(at=stamp(each), name=f"s{each}") for each in range(number)]
    appends = [each.collect_events() for each in known]
    for second, (which, action) in enumerate(moves, start=10):
        appends.append(act_on_schedule(known[which], action, second))
    return [events for events in appends if events]
