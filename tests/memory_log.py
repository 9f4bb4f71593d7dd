"""The event log in memory, for tests without I/O; `tests/contract/test_event_logs.py` holds it to the real one."""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.application import Application

from shared.domain.branch import ENDS
from shared.domain.errors import VersionConflict
from shared.domain.events import Event
from shared.domain.schedule import Schedule
from shared.log.archived_events import Row
from shared.log.archives import Archive
from shared.log.event_log import MAPPER_TOPIC, EventLog
from shared.log.recorder import Guard
from shared.log.runs import Recorded
from shared.log.schedules import folded_schedule


class MemoryEventLog(EventLog):
    """An `EventLog` on the library's recorder for plain old Python objects."""

    def __init__(self) -> None:
        Application.__init__(self, {"PERSISTENCE_MODULE": "eventsourcing.popo", "MAPPER_TOPIC": MAPPER_TOPIC})
        self._appending = threading.RLock()
        self._positions: dict[tuple[UUID, int], int] = {}

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append as the function in PostgreSQL does: one after the other."""
        with self._appending:
            if guard is not None and self.stream(guard.originator_id, gt=guard.version):
                raise VersionConflict(guard.originator_id)
            positions = super().append(events)
            keys = ((event.originator_id, event.originator_version) for event in events)
            self._positions.update(zip(keys, positions, strict=True))
            return positions

    def streams(self, originator_ids: Sequence[UUID], *, until: int | None = None) -> list[Recorded]:
        """Put the streams together in the order in which they were appended."""
        with self._appending:  # an event has its position only when its append is over
            events = [event for originator_id in set(originator_ids) for event in self.stream(originator_id)]
            positions = [self._positions[event.originator_id, event.originator_version] for event in events]
        recorded = map(Recorded, positions, events)
        return sorted(each for each in recorded if until is None or each.position <= until)

    def stored_streams(self, originator_ids: Sequence[UUID]) -> list[Row]:
        """The same as PostgreSQL would keep it."""
        return [(position, self.mapper.to_stored_event(event)) for position, event in self.streams(originator_ids)]

    def _select_archives(self, statement: str, parameters: tuple[Any, ...]) -> list[Archive]:
        """Nothing is archived here."""
        return []

    def have_all_ended(self, branches: Sequence[UUID]) -> bool:
        """Look at the newest event of each."""
        newest = (self.latest(branch) for branch in branches)
        return all(event is not None and event.TOPIC in ENDS for event in newest)

    def schedule(self, schedule_id: UUID) -> Schedule:
        """Fold the whole stream: there are no snapshots."""
        return folded_schedule(schedule_id, None, self.stream(schedule_id))

    def newest_of(self, originator_ids: Sequence[UUID], topics: Sequence[str]) -> list[Event]:
        """Look through each stream from its end."""
        found = [[event for event in self.stream(each) if event.TOPIC in topics] for each in set(originator_ids)]
        return [events[-1] for events in found if events]
