"""The event log in memory, for tests without I/O; `tests/contract/test_event_logs.py` holds it to the real one."""

import threading
from collections.abc import Sequence
from uuid import UUID

from eventsourcing.application import Application

from shared.domain.branch import ENDS
from shared.domain.errors import VersionConflict
from shared.domain.events import Event
from shared.log.event_log import MAPPER_TOPIC, EventLog
from shared.log.recorder import Guard
from shared.log.runs import Recorded


class MemoryEventLog(EventLog):
    """An `EventLog` on the library's recorder for plain old Python objects."""

    def __init__(self) -> None:
        Application.__init__(self, {"PERSISTENCE_MODULE": "eventsourcing.popo", "MAPPER_TOPIC": MAPPER_TOPIC})
        self._appending = threading.RLock()

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append as the function in PostgreSQL does: one after the other."""
        with self._appending:
            if guard is not None and self.stream(guard.originator_id, gt=guard.version):
                raise VersionConflict(guard.originator_id)
            return super().append(events)

    def streams(self, originator_ids: Sequence[UUID], *, until: int | None = None) -> list[Recorded]:
        """Look through the whole log."""
        wanted, newest = set(originator_ids), self.head() if until is None else until
        return [
            recorded
            for recorded in self.read(0, limit=newest)
            if recorded.position <= newest and recorded.event.originator_id in wanted
        ]

    def have_all_ended(self, branches: Sequence[UUID]) -> bool:
        """Look at the newest event of each."""
        newest = (self.latest(branch) for branch in branches)
        return all(event is not None and event.TOPIC in ENDS for event in newest)
