"""A task as it was: the fold of its stream up to a position or a time, which is all that the log knew by then."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from services.gateway.conditions import iso
from services.gateway.problems import invalid_input
from shared.documents import task_document
from shared.domain.errors import FieldError, InvalidInput, NotFound
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Submitted
from shared.domain.views import task_view
from shared.log.async_event_log import AsyncEventLog
from shared.log.runs import Recorded, task_not_found
from shared.objects import ObjectStore

FIELD = "as_of"


class Past:
    """Answers from the log alone; what is asked for twice is answered the same.

    A time close to now is the exception: events bear the moment of their decision, a little before they are in the log.
    """

    def __init__(self, log: AsyncEventLog, objects: ObjectStore, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._objects = objects
        self._now = now

    async def task(self, task_id: UUID, as_of: int | datetime) -> bytes:
        """Return a task as it was at a position of the log, or at a time; its result expires by that time.

        Raises InvalidInput for what has not come yet, NotFound for no task or one that was submitted later.
        """
        match as_of:
            case int(position):
                moment = await self._moment_of(position)
                then = await self._then(task_id, lambda recorded: recorded.position <= position, f"position {position}")
            case time:
                moment = self._reached(time)
                then = await self._then(task_id, lambda recorded: recorded.event.at <= time, iso(time))
        document = await asyncio.to_thread(task_document, task_view(then), now=moment, objects=self._objects)
        return msgspec.json.encode(document)

    async def _moment_of(self, position: int) -> datetime:
        """Return when the newest event up to `position` was made."""
        # First the head, then the stream: what is appended in between has a greater position.
        head = await self._log.head()
        if position > head:
            raise _not_yet(f"is beyond the newest position of the log, {head}")
        newest = await self._log.newest(position)
        return newest.event.at if newest else datetime.min.replace(tzinfo=UTC)

    def _reached(self, time: datetime) -> datetime:
        now = self._now()
        if time > now:
            raise _not_yet(f"lies in the future: here it is {iso(now)}")
        return time

    async def _then(self, task_id: UUID, happened: Callable[[Recorded], bool], when: str) -> WorkflowExecution:
        stream = await self._log.history(task_id)
        if not stream or not isinstance(stream[0].event, Submitted):
            raise task_not_found(task_id)
        execution = fold(None, (recorded.event for recorded in _known_then(stream, happened)))
        if execution is None:
            first = stream[0]
            raise NotFound(
                "task",
                f"There was no task {task_id} as of {when}: it was submitted at {iso(first.event.at)}, at position "
                f"{first.position}. Ask for that or for a later moment.",
            )
        return execution


def _known_then(history: Sequence[Recorded], happened: Callable[[Recorded], bool]) -> Iterator[Recorded]:
    """Yield of each stream what had happened by then, up to its first event that had not."""
    later: set[UUID] = set()
    for recorded in history:
        if recorded.event.originator_id in later or not happened(recorded):
            later.add(recorded.event.originator_id)
        else:
            yield recorded


def _not_yet(message: str) -> InvalidInput:
    return invalid_input([FieldError(FIELD, f"{message}; leave it out for the task as it is now")])
