"""The JSON documents of schedules, from their folds. To be made in a thread: a calendar takes its time."""

from collections.abc import Container, Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.gateway.backfills import Acceptance
from services.gateway.documents import acceptance_document
from services.gateway.triggers import Triggered
from shared.domain.errors import InvalidInput
from shared.domain.firing import NominalTimes, due_at
from shared.domain.phases import Phase
from shared.domain.schedule_state import ScheduleState
from shared.domain.timing import Timing
from shared.schedules import known_until, times_of

LAST_DAY = date(2199, 12, 31)
"""No calendar goes further."""


class Occurrence(NamedTuple):
    """A time to come, and when it fires; None where that is not known yet."""

    nominal_at: datetime
    due_at: datetime | None


def schedule_document(state: ScheduleState, *, now: datetime, ended: Container[UUID] = ()) -> dict[str, Any]:
    """Return a schedule as `GET /api/schedules/{schedule_id}` answers it at `now`, without runs that have `ended`."""
    runs = [run for run in state.runs.values() if run.task_id not in ended]
    document: dict[str, Any] = msgspec.to_builtins(
        {
            "schedule_id": state.id,
            **msgspec.structs.asdict(state.definition),
            "enabled": state.enabled,
            "disabled_reason": state.disabled_reason,
            "user_id": state.user_id,
            "created_at": state.created_at,
            "changed_at": state.changed_at,
            "deleted_at": state.deleted_at,
            "next_fire_at": next_fire_at(state, now),
            "last_fired_at": state.last_fired_at,
            "last_nominal_at": state.last_nominal_at,
            "last_task_id": state.last_task_id,
            "counters": {
                "fired": state.fired,
                "skipped_overlap": state.skipped_overlap,
                "skipped_otherwise": state.skipped_otherwise,
                "missed_catchup": state.missed_catchup,
                "buffered": state.buffered,
            },
            "running": [run.task_id for run in runs if not run.held],
            "held": [run.task_id for run in runs if run.held],
            "backfills": [
                {
                    "backfill_id": backfill.id,
                    "start": backfill.start,
                    "end": backfill.end,
                    "overlap": backfill.overlap,
                    "settled_until": backfill.after,
                }
                for backfill in state.backfills.values()
            ],
            "version": state.version,
        }
    )
    return document


def next_fire_at(state: ScheduleState, now: datetime) -> datetime | None:
    """Return the first own time that is not settled, and not too late to be caught up; None when there is none."""
    times = _times(state)
    if times is None or not state.fires:
        return None
    definition = state.definition
    latest = timedelta(seconds=definition.catchup_seconds + definition.jitter_seconds)
    return times.after(max(state.settled_until, now - latest))


def upcoming_document(state: ScheduleState, *, most: int, now: datetime) -> dict[str, Any]:
    """Return the times to come of a schedule as it stands, or why there are none."""
    times, reason = _times(state), _why_not(state)
    if times is None:
        reason = "its times cannot be computed any more: correct when, timezone or calendar"
    occurrences: list[Occurrence] = []
    if times is not None and reason is None:
        left = state.definition.max_runs
        bound = most if left is None else min(most, left - state.used)
        coming = following(times, max(now, state.settled_until), bound)
        occurrences = [Occurrence(moment, due_at(state, moment, times)) for moment in coming]
        reason = None if occurrences else _why_none_is_left(state.definition.timing)
    return {**occurrences_document(occurrences, state.definition.timezone), "reason": reason}


def following(times: NominalTimes, moment: datetime, most: int) -> Iterator[datetime]:
    """Yield up to `most` times after a moment."""
    following = times.after(moment)
    while following is not None and most > 0:
        yield following
        most -= 1
        following = times.after(following)


def occurrences_document(occurrences: list[Occurrence], timezone: str) -> dict[str, Any]:
    """Return times to come, in UTC and in a time zone."""
    zone = ZoneInfo(timezone) if occurrences else None
    items = [
        {"at": each.nominal_at, "local": each.nominal_at.astimezone(zone).isoformat(), "due_at": each.due_at}
        for each in occurrences
    ]
    return {"items": msgspec.to_builtins(items), "timezone": timezone}


def triggered_document(triggered: Triggered) -> dict[str, Any]:
    """Return the answer to a trigger."""
    execution = triggered.execution
    return {**acceptance_document(execution), "held": execution.phase is Phase.HELD}


def backfill_document(accepted: Acceptance) -> dict[str, Any]:
    """Return the answer to the request for a backfill."""
    document: dict[str, Any] = msgspec.to_builtins(
        {
            "backfill_id": accepted.backfill_id,
            "schedule_id": accepted.schedule_id,
            "start": accepted.body.start,
            "end": accepted.body.end,
            "overlap": accepted.body.overlap,
            "count": accepted.count,
        }
    )
    return document


def _times(state: ScheduleState) -> NominalTimes | None:
    """Return the times of a definition; None for one that nobody can compute any more, such as of a calendar that has
    left the library."""
    try:
        return times_of(state.definition.timing)
    except InvalidInput:
        return None


def _why_none_is_left(timing: Timing) -> str:
    last_day = known_until(timing)
    if last_day is None or last_day >= LAST_DAY:
        return "no times are left"
    return (
        f"the sessions of {timing.calendar} are known until {last_day} only: times beyond come with a newer version of "
        "exchange_calendars"
    )


def _why_not(state: ScheduleState) -> str | None:
    if not state.enabled:
        return f"it is disabled: {state.disabled_reason}" if state.disabled_reason else "it is disabled"
    if not state.fires:
        return f"all of its {state.definition.max_runs} runs (max_runs) are used"
    return None
