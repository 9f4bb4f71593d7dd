"""Whose the tasks and schedules are that events tell of."""

from collections import OrderedDict
from collections.abc import Collection
from uuid import UUID

from shared.domain.execution_events import Submitted
from shared.domain.schedule_events import ScheduleCreated
from shared.log.async_event_log import AsyncEventLog

CAPACITY = 10_000
"""Owners remembered; others are asked for again."""

_FIRST = (Submitted.TOPIC, ScheduleCreated.TOPIC)


class Owners:
    """Reads the owner of a stream from its first event, once; an owner never changes."""

    def __init__(self, log: AsyncEventLog, capacity: int = CAPACITY) -> None:
        self._log = log
        self._capacity = capacity
        self._known: OrderedDict[UUID, str | None] = OrderedDict()

    async def of(self, subjects: Collection[UUID]) -> dict[UUID, str | None]:
        """Return the user of each subject, None for what belongs to nobody. Raises Unavailable."""
        found = {subject: self._known[subject] for subject in subjects if subject in self._known}
        missing = [subject for subject in set(subjects) if subject not in found]
        if missing:
            read: dict[UUID, str | None] = dict.fromkeys(missing)
            for event in await self._log.newest_of(missing, _FIRST):
                assert isinstance(event, Submitted | ScheduleCreated)
                read[event.originator_id] = event.user_id
            found |= read
            self._known |= read
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return found
