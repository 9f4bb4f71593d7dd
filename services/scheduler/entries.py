"""All schedules in memory, fed with the events of the log: which of them have something to do, and when.

Pure: no clock, no I/O. What is to be done is decided in `services.scheduler.plans`.
"""

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

from shared.domain import execution_events as run_events
from shared.domain.events import Event
from shared.domain.firing import NominalTimes, due_at, next_nominal
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import ScheduleCreated
from shared.domain.schedule_state import ScheduleState
from shared.domain.timing import Timing

ENDS = (run_events.Succeeded, run_events.Failed, run_events.Cancelled)
"""The events after which a run does not count as running."""


class Entry:
    """A schedule, its times, and what is known of its runs beyond its own stream.

    `ended` holds the last event of each of its runs that has ended, `returned` those that go on after an end by
    somebody's request, and `asked` those that were asked to stop already.
    """

    def __init__(self, schedule: Schedule, times: NominalTimes) -> None:
        self.schedule = schedule
        self.times = times
        self.ended: dict[UUID, Event] = {}
        self.returned: set[UUID] = set()
        self.asked: set[tuple[UUID, bool]] = set()
        self.due_at: datetime | None = None

    @property
    def state(self) -> ScheduleState:
        """Return the fold of the schedule's own stream."""
        return self.schedule.state

    def to_return(self) -> list[UUID]:
        """Return those of the returned runs that the schedule does not count as running yet."""
        runs = self.state.runs
        return [each for each in self.returned if (run := runs.get(each)) is None or run.held or run.cancelled]


class Entries:
    """Schedules by id. `times_of` returns the nominal times of a definition, whatever it is."""

    def __init__(self, times_of: Callable[[Timing], NominalTimes]) -> None:
        self._times_of = times_of
        self._entries: dict[UUID, Entry] = {}
        self._schedule_of: dict[UUID, UUID] = {}
        self._due: list[tuple[datetime, UUID]] = []
        self._touched: dict[UUID, datetime] = {}
        self._changed: set[UUID] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, schedule_id: UUID) -> Entry | None:
        """Return a schedule that has something to do yet."""
        return self._entries.get(schedule_id)

    def load(self, states: Iterable[ScheduleState], now: datetime) -> list[UUID]:
        """Take in schedules as they were; return their runs, for `note_end` to be told which of them have ended.

        Deleted ones are left out, unless some of their runs have yet to be stopped.
        """
        for state in states:
            if state.deleted_at is None or any(run.held or run.cancelled for run in state.runs.values()):
                self.put(Schedule(state), now)
        self._changed.clear()
        return list(self._schedule_of)

    def put(self, schedule: Schedule, now: datetime) -> Entry:
        """Take in a schedule as it is, in place of what was known of it."""
        times = self._times_of(schedule.state.definition.timing)
        entry = self._entries.setdefault(schedule.id, Entry(schedule, times))
        entry.schedule, entry.times = schedule, times
        self.refresh(entry)
        self.touch(entry, now)
        return entry

    def refresh(self, entry: Entry) -> None:
        """Bring up to date what is derived from an entry, after something has happened to it, or was decided on it."""
        state = entry.state
        self._changed.add(state.id)
        self._schedule_of.update(dict.fromkeys(state.runs, state.id))
        for gone in entry.ended.keys() - state.runs.keys():
            del entry.ended[gone]
            self._schedule_of.pop(gone, None)
        entry.returned = set(entry.to_return())
        entry.asked = {asked for asked in entry.asked if asked[0] in state.runs}
        self.await_next(entry)

    def await_next(self, entry: Entry) -> None:
        """Have an entry told of when its next time is due."""
        nominal = next_nominal(entry.state, entry.times)
        due = None if nominal is None else due_at(entry.state, nominal, entry.times)
        if due is not None and due != entry.due_at:
            heapq.heappush(self._due, (due, entry.state.id))
        entry.due_at = due

    def apply(self, event: Event, now: datetime) -> None:
        """Take in an event of a schedule, or the end of a run."""
        if isinstance(event, ScheduleCreated):
            if event.originator_id not in self._entries:
                self.put(Schedule.of(event), now)
            return
        if isinstance(event, ENDS):
            self.note_end(event, now)
            return
        entry = self._entries.get(event.originator_id)
        if entry is not None and event.originator_version > entry.schedule.version:
            timing = entry.state.definition.timing
            entry.schedule.apply(event)
            if entry.state.definition.timing != timing:
                entry.times = self._times_of(entry.state.definition.timing)
            self.refresh(entry)
            self.touch(entry, now)

    def note_end(self, event: Event, now: datetime) -> None:
        """Take in that a run has ended; runs of no schedule are passed over."""
        entry = self._entry_of(event.originator_id)
        if entry is not None:
            entry.ended[event.originator_id] = event
            entry.returned.discard(event.originator_id)
            self._touched.setdefault(entry.state.id, now)

    def note_return(self, schedule_id: UUID, task_id: UUID, now: datetime) -> None:
        """Take in that a run of a schedule goes on after its end."""
        entry = self._entries.get(schedule_id)
        if entry is not None:
            entry.ended.pop(task_id, None)
            entry.returned.add(task_id)
            self._touched.setdefault(schedule_id, now)

    def _entry_of(self, task_id: UUID) -> Entry | None:
        schedule_id = self._schedule_of.get(task_id)
        return None if schedule_id is None else self._entries.get(schedule_id)

    def ready(self, moment: datetime) -> list[Entry]:
        """Return the entries that were touched, or came due, by `moment`, each once.

        They are not told of again before they are touched or refreshed, or await their next time.
        """
        found = {schedule_id: None for schedule_id, at in self._touched.items() if at <= moment}
        for schedule_id in found:
            del self._touched[schedule_id]
        while self._due and self._due[0][0] <= moment:
            at, schedule_id = heapq.heappop(self._due)
            entry = self._entries.get(schedule_id)
            if entry is not None and entry.due_at == at:
                found[schedule_id], entry.due_at = None, None
        return [self._entries[schedule_id] for schedule_id in found if schedule_id in self._entries]

    def touch(self, entry: Entry, now: datetime) -> None:
        """Have an entry looked at again: there is more to do than was done."""
        self._touched.setdefault(entry.state.id, now)

    def leave_alone(self, entry: Entry, *, until: datetime) -> None:
        """Do not tell of an entry before `until`, whatever is due."""
        entry.due_at = None
        self._touched[entry.state.id] = until

    def next_at(self) -> datetime | None:
        """Return the earliest moment for which `ready` may have something, None when nothing is foreseen."""
        while self._due and not self._is_current(*self._due[0]):
            heapq.heappop(self._due)
        moments = [*self._touched.values(), *(at for at, _ in self._due[:1])]
        return min(moments, default=None)

    def _is_current(self, at: datetime, schedule_id: UUID) -> bool:
        entry = self._entries.get(schedule_id)
        return entry is not None and entry.due_at == at

    def changes(self) -> list[ScheduleState]:
        """Return the schedules that have changed since the last call."""
        changed = [self._entries[each].state for each in self._changed if each in self._entries]
        self._changed.clear()
        return changed

    def keep_changes(self, states: Iterable[ScheduleState]) -> None:
        """Take back what `changes` gave and could not be written."""
        self._changed.update(state.id for state in states)
