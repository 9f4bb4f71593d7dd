"""What a schedule is at some point of its history: the fold of its events, without any say in what may happen.

Its size does not grow with its history: it is kept as a snapshot, since a stream of firings has no end.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from shared.domain import schedule_events as happened
from shared.domain.events import Event
from shared.domain.schedule_events import FiringKind, Overlap, ScheduleDefinition, SkipReason


class OpenRun(msgspec.Struct, kw_only=True):
    """A run of the schedule that is not known to have ended. One that is `held` waits for those before it.

    It is to be cancelled, or `terminated` by force, for a later firing.
    """

    task_id: UUID
    nominal_at: datetime
    kind: FiringKind
    held: bool = False
    cancelled: bool = False
    terminated: bool = False


class Backfill(msgspec.Struct, kw_only=True):
    """Past times that somebody asked for; those up to `after` are settled, None while none is."""

    id: UUID
    start: datetime
    end: datetime
    overlap: Overlap
    after: datetime | None = None


class ScheduleState(msgspec.Struct, kw_only=True):
    """A schedule: its definition, whether it fires, and what has become of its times.

    Own times up to `settled_until` are settled, and never looked at again. `used` counts those of them that gave a run.
    `runs` are those that are not known to have ended, oldest first. `fired` counts runs that were let go, `buffered`
    those that had to wait for it.
    """

    id: UUID
    version: int
    user_id: str
    definition: ScheduleDefinition
    enabled: bool
    created_at: datetime
    changed_at: datetime
    settled_until: datetime
    request_hash: str | None = None
    disabled_reason: str | None = None
    deleted_at: datetime | None = None
    runs: dict[UUID, OpenRun] = {}
    backfills: dict[UUID, Backfill] = {}
    used: int = 0
    fired: int = 0
    buffered: int = 0
    skipped_overlap: int = 0
    skipped_otherwise: int = 0
    missed_catchup: int = 0
    last_fired_at: datetime | None = None
    last_nominal_at: datetime | None = None
    last_task_id: UUID | None = None

    @property
    def held(self) -> list[OpenRun]:
        """Return the runs that wait to be released, in the order of their firings."""
        return [run for run in self.runs.values() if run.held and not run.cancelled]

    @property
    def fires(self) -> bool:
        """Tell whether own times are due at all: enabled, not deleted, and runs left."""
        most = self.definition.max_runs
        return self.enabled and self.deleted_at is None and (most is None or self.used < most)


def begun(event: happened.ScheduleCreated) -> ScheduleState:
    """Return the state that a schedule begins with."""
    return ScheduleState(
        id=event.originator_id,
        version=event.originator_version,
        user_id=event.user_id,
        definition=event.definition,
        enabled=event.enabled,
        created_at=event.at,
        changed_at=event.at,
        settled_until=event.at,
        request_hash=event.request_hash,
        runs={},
        backfills={},
    )


def apply(state: ScheduleState, event: Event) -> None:
    """Take in one event of the schedule; one that was taken in already changes nothing."""
    if event.originator_version <= state.version:
        return
    state.version = event.originator_version
    match event:
        case happened.ScheduleChanged(definition=definition, at=at):
            if definition.timing != state.definition.timing:
                state.settled_until = max(state.settled_until, at)
            state.definition, state.changed_at = definition, at
        case happened.ScheduleEnabled(at=at):
            state.enabled, state.disabled_reason, state.changed_at = True, None, at
            state.settled_until = max(state.settled_until, at)
        case happened.ScheduleDisabled(reason=reason, ended=ended, at=at):
            state.enabled, state.disabled_reason, state.changed_at = False, reason, at
            _forget(state, ended)
        case happened.ScheduleDeleted(at=at):
            state.deleted_at = state.changed_at = at
            state.backfills.clear()
        case happened.FiringEvent():
            _apply_firing(state, event)
        case happened.ScheduleMissed(last_at=last_at, count=count):
            state.settled_until = max(state.settled_until, last_at)
            state.missed_catchup += count
        case happened.BufferReleased(task_id=task_id, ended=ended, at=at):
            _forget(state, ended)
            if (run := state.runs.get(task_id)) is not None:
                run.held = False
                _note_fired(state, at, run.nominal_at, task_id)
        case happened.RunReturned(task_id=task_id, at=at):
            known = state.runs.get(task_id)
            nominal_at, kind = (known.nominal_at, known.kind) if known else (at, FiringKind.TRIGGER)
            state.runs[task_id] = OpenRun(task_id=task_id, nominal_at=nominal_at, kind=kind)
        case happened.BackfillRequested(backfill_id=backfill_id, start=start, end=end, overlap=overlap):
            state.backfills[backfill_id] = Backfill(id=backfill_id, start=start, end=end, overlap=overlap)
        case happened.BackfillFinished(backfill_id=backfill_id):
            state.backfills.pop(backfill_id, None)


def _apply_firing(state: ScheduleState, event: happened.FiringEvent) -> None:
    _forget(state, event.ended)
    if event.kind is FiringKind.SCHEDULE:
        state.settled_until = max(state.settled_until, event.nominal_at)
    elif event.request_id is not None and (backfill := state.backfills.get(event.request_id)) is not None:
        backfill.after = event.nominal_at
    match event:
        case happened.ScheduleFired(task_id=task_id, terminates=terminates):
            _submit(state, event, task_id, held=False)
            _note_fired(state, event.at, event.nominal_at, task_id)
            for other in terminates:
                if (run := state.runs.get(other)) is not None:
                    run.cancelled = run.terminated = True
        case happened.ScheduleBuffered(task_id=task_id, cancels=cancels):
            state.buffered += 1
            _submit(state, event, task_id, held=True)
            for other in cancels:
                if (run := state.runs.get(other)) is not None:
                    run.cancelled = True
        case happened.ScheduleSkipped(reason=SkipReason.OVERLAP | SkipReason.BUFFER_FULL):
            state.skipped_overlap += 1
        case happened.ScheduleSkipped():
            state.skipped_otherwise += 1


def _submit(state: ScheduleState, event: happened.FiringEvent, task_id: UUID, *, held: bool) -> None:
    if event.kind is FiringKind.SCHEDULE:
        state.used += 1
    state.runs[task_id] = OpenRun(task_id=task_id, nominal_at=event.nominal_at, kind=event.kind, held=held)


def _note_fired(state: ScheduleState, at: datetime, nominal_at: datetime, task_id: UUID) -> None:
    state.fired += 1
    state.last_fired_at, state.last_nominal_at, state.last_task_id = at, nominal_at, task_id


def _forget(state: ScheduleState, ended: Iterable[UUID]) -> None:
    for task_id in ended:
        state.runs.pop(task_id, None)
