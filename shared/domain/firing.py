"""Which times of a schedule are due and what becomes of each: pure functions of its state, of now, and of what runs."""

import hashlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID, uuid5

from shared.domain.overlap import MOST_BUFFERED, Drop, Hold, Start, Verdict, judge
from shared.domain.schedule_events import FiringKind, Overlap, SkipReason
from shared.domain.schedule_state import Backfill, ScheduleState

MOST_MISSED = 2_000
"""How many missed times are counted in one decision: after a long outage others are not held up by one schedule."""


class NominalTimes(Protocol):
    """The times of a schedule's definition; `shared.schedules` computes them."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment`, None when there is none."""


class Firing(NamedTuple):
    """What becomes of one nominal time. `task_id` is the run's, if there is one."""

    nominal_at: datetime
    task_id: UUID
    verdict: Verdict
    kind: FiringKind = FiringKind.SCHEDULE
    request_id: UUID | None = None


class Missed(NamedTuple):
    """Times that are later than the catch-up allows."""

    first_at: datetime
    last_at: datetime
    number: int


Decision = Firing | Missed


class Standing:
    """The runs of a schedule that count against a firing, as decisions on earlier times leave them."""

    def __init__(self, state: ScheduleState, ended: AbstractSet[UUID]) -> None:
        alive = [run for run in state.runs.values() if run.task_id not in ended]
        self.running = [run.task_id for run in alive if not run.held]
        self.held = [run.task_id for run in alive if run.held and not run.cancelled]

    def decide(self, overlap: Overlap, task_id: UUID, *, has_strategy: bool) -> Verdict:
        """Return what becomes of the next firing, whose run would be `task_id`, and take it in."""
        if not has_strategy:
            return Drop(SkipReason.NO_STRATEGY)
        verdict = judge(overlap, self.running, self.held)
        match verdict:
            case Start(terminates=terminates):
                self.held = [held for held in self.held if held not in terminates]
                self.running.append(task_id)
            case Hold(cancels=cancels):
                self.held = [held for held in self.held if held not in cancels]
                self.held.append(task_id)
        return verdict


def firing_id(schedule_id: UUID, nominal_at: datetime, request_id: UUID | None = None) -> UUID:
    """Return the task id of a firing: a UUID of version 5, the same for whoever decides it and however often."""
    of_request = f" {request_id}" if request_id else ""
    return uuid5(schedule_id, f"{nominal_at.isoformat()}{of_request}")


def due_at(state: ScheduleState, nominal_at: datetime, times: NominalTimes) -> datetime:
    """Return when a nominal time is to fire: with jitter a part of it later, and never after the next time.

    The part is drawn from a hash of the schedule's id and the time, so that everyone draws the same.
    """
    jitter = timedelta(seconds=state.definition.jitter_seconds)
    if not jitter:
        return nominal_at
    following = times.after(nominal_at)
    width = jitter if following is None else min(jitter, following - nominal_at)
    digest = hashlib.sha256(state.id.bytes + nominal_at.isoformat().encode()).digest()
    return nominal_at + width * (int.from_bytes(digest[:4]) / 2**32)


def next_nominal(state: ScheduleState, times: NominalTimes) -> datetime | None:
    """Return the first own time that is not settled, None when the schedule does not fire (any more)."""
    return times.after(state.settled_until) if state.fires else None


def own_firings(
    state: ScheduleState, times: NominalTimes, standing: Standing, now: datetime, *, has_strategy: bool, most: int
) -> Iterator[Decision]:
    """Yield up to `most` decisions on the own times that are due by `now`, in order; those too late are counted."""
    if not state.fires:
        return
    left = None if state.definition.max_runs is None else state.definition.max_runs - state.used
    catchup = timedelta(seconds=state.definition.catchup_seconds)
    missed: list[datetime] = []
    nominal = times.after(state.settled_until)
    while nominal is not None and most > 0 and left != 0 and len(missed) < MOST_MISSED:
        due = due_at(state, nominal, times)
        if due > now:
            break
        if now - due > catchup:
            missed.append(nominal)
        else:
            if missed:
                yield Missed(missed[0], missed[-1], len(missed))
                missed, most = [], most - 1
            task_id = firing_id(state.id, nominal)
            verdict = standing.decide(state.definition.overlap, task_id, has_strategy=has_strategy)
            yield Firing(nominal, task_id, verdict)
            most -= 1
            if left is not None and not isinstance(verdict, Drop):
                left -= 1
        nominal = times.after(nominal)
    if missed:
        yield Missed(missed[0], missed[-1], len(missed))


def backfill_firings(
    state: ScheduleState, backfill: Backfill, times: NominalTimes, standing: Standing, *, has_strategy: bool, most: int
) -> Iterator[Firing]:
    """Yield up to `most` decisions on the times of a backfill, in order; fewer while the buffer is full.

    Nothing of a backfill is dropped for want of room: it waits.
    """
    nominal = backfill_next(backfill, times)
    while nominal is not None and most > 0:
        if backfill.overlap is Overlap.BUFFER_ALL and len(standing.held) >= MOST_BUFFERED:
            return
        task_id = firing_id(state.id, nominal, backfill.id)
        verdict = standing.decide(backfill.overlap, task_id, has_strategy=has_strategy)
        yield Firing(nominal, task_id, verdict, FiringKind.BACKFILL, backfill.id)
        most -= 1
        nominal = _until(backfill.end, times.after(nominal))


def backfill_next(backfill: Backfill, times: NominalTimes) -> datetime | None:
    """Return the first time of a backfill that is not settled, None when all are."""
    if backfill.after is not None:
        return _until(backfill.end, times.after(backfill.after))
    return _until(backfill.end, times.after(backfill.start - timedelta(microseconds=1)))


def _until(end: datetime, moment: datetime | None) -> datetime | None:
    return None if moment is None or moment > end else moment
