"""What one schedule has to do now: pure decisions on what is known of it, written down as its events.

The runs that these call for are submitted, released and stopped by `services.scheduler.scheduling`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.scheduler.entries import Entry
from shared.domain.events import Stamp
from shared.domain.execution_events import Failed
from shared.domain.firing import Firing, Missed, Standing, backfill_firings, backfill_next, own_firings
from shared.domain.overlap import Hold, Start
from shared.domain.schedule_events import FiringKind
from shared.domain.schedule_state import ScheduleState

MOST_FIRINGS = 50
"""How many times of one schedule are decided together; the rest waits for the next round, so that others do not."""
LONGEST_REASON = 500


@dataclass(kw_only=True)
class Plan:
    """What was decided: firings that have a run, held runs to let go, and how many times were missed.

    `again` tells that there is more to decide than was decided.
    """

    firings: list[Firing] = field(default_factory=list)
    releases: list[UUID] = field(default_factory=list)
    missed: int = 0
    again: bool = False


class Stop(NamedTuple):
    """A run that is to be cancelled, and why."""

    task_id: UUID
    force: bool
    reason: str


def decide(entry: Entry, stamp: Stamp, *, until: datetime, has_strategy: bool) -> Plan:
    """Decide about everything that is due by `until`, and record it on the entry's schedule."""
    state, plan = entry.state, Plan()
    if state.deleted_at is not None:
        return plan
    recording = _Recording(entry, stamp)
    for task_id in entry.to_return():
        entry.schedule.return_run(stamp, task_id)
    _pause(entry, recording)
    standing = Standing(state, entry.ended.keys())
    _release(entry, recording, standing, plan)
    for decision in own_firings(state, entry.times, standing, until, has_strategy=has_strategy, most=MOST_FIRINGS + 1):
        if recording.decisions == MOST_FIRINGS:
            plan.again = True
            return plan
        recording.record(decision, plan)
    _backfill(entry, recording, standing, plan, has_strategy=has_strategy)
    return plan


class _Recording:
    """Writes decisions down; the first one tells which runs have ended since the one before."""

    def __init__(self, entry: Entry, stamp: Stamp) -> None:
        self.schedule = entry.schedule
        self.stamp = stamp
        self.decisions = 0
        self._ended = tuple(entry.ended)

    def ended(self) -> tuple[UUID, ...]:
        ended, self._ended = self._ended, ()
        return ended

    def record(self, decision: Firing | Missed, plan: Plan) -> None:
        self.decisions += 1
        match decision:
            case Missed(number=number):
                plan.missed += number
                self.schedule.record(self.stamp, decision)
            case Firing(verdict=Start() | Hold()):
                plan.firings.append(decision)
                self.schedule.record(self.stamp, decision, ended=self.ended())
            case Firing():
                self.schedule.record(self.stamp, decision, ended=self.ended())


def _pause(entry: Entry, recording: _Recording) -> None:
    """Disable a schedule one of whose runs has failed, if it is to be."""
    if not (entry.state.enabled and entry.state.definition.pause_on_failure):
        return
    for event in entry.ended.values():
        if isinstance(event, Failed):
            what = f"{event.failure.type}: {event.failure.message}"
            reason = f"task {event.originator_id} failed: {what}"[:LONGEST_REASON]
            entry.schedule.disable(recording.stamp, reason=reason, ended=recording.ended())
            return


def _release(entry: Entry, recording: _Recording, standing: Standing, plan: Plan) -> None:
    """Let the first held run go when nothing of the schedule runs."""
    if standing.running:
        return
    for task_id in standing.held:
        run = entry.state.runs[task_id]
        if run.kind is not FiringKind.SCHEDULE or entry.state.enabled:
            entry.schedule.release(recording.stamp, task_id, ended=recording.ended())
            plan.releases.append(task_id)
            standing.held.remove(task_id)
            standing.running.append(task_id)
            return


def _backfill(entry: Entry, recording: _Recording, standing: Standing, plan: Plan, *, has_strategy: bool) -> None:
    """Work through the first backfill that has times left."""
    for backfill in list(entry.state.backfills.values()):
        left = MOST_FIRINGS - recording.decisions
        for firing in backfill_firings(
            entry.state, backfill, entry.times, standing, has_strategy=has_strategy, most=left
        ):
            recording.record(firing, plan)
        if backfill_next(backfill, entry.times) is not None:
            plan.again = recording.decisions >= MOST_FIRINGS
            return
        entry.schedule.finish_backfill(recording.stamp, backfill.id)


def stops(entry: Entry) -> Iterator[Stop]:
    """Yield the runs that are to be cancelled and were not asked to yet: for a later firing, or because the schedule
    that holds them does not fire any more."""
    state = entry.state
    for run in state.runs.values():
        if run.task_id in entry.ended:
            continue
        reason = f"a later firing of schedule {state.definition.name!r} takes its place" if run.cancelled else None
        if run.held and reason is None:
            reason = _why_not_held(state, run.kind)
        stop = Stop(run.task_id, run.terminated, reason or "")
        if reason is not None and (stop.task_id, stop.force) not in entry.asked:
            yield stop


def _why_not_held(state: ScheduleState, kind: FiringKind) -> str | None:
    if state.deleted_at is not None:
        return f"schedule {state.definition.name!r} was deleted"
    if not state.enabled and kind is FiringKind.SCHEDULE:
        return f"schedule {state.definition.name!r} was disabled"
    return None
