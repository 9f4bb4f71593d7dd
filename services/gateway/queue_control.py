"""The queues of the levels: what they hold, and pausing and resuming them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable
from shared.domain.events import Stamp
from shared.domain.priority import Priority
from shared.domain.queue import Queue, pause_document
from shared.domain.queue_events import QUEUE_TOPICS, QueueEvent, queue_id
from shared.log.async_event_log import AsyncEventLog


class QueueControl:
    """Appends to a level's stream what an admin decides; the dispatcher follows the log, and obeys.

    Whether a queue is paused comes from the log, which is never behind; what waits in it from the status service.
    """

    def __init__(self, log: AsyncEventLog, status: StatusClient, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._status = status
        self._now = now

    async def queues(self) -> dict[str, Any]:
        """Return all levels, highest first, and the queue of clean-ups. Raises Unavailable."""
        try:
            found = await self._status.queues()
        except Unavailable as error:
            raise Unavailable(
                "What waits in the queues is known to the status service, which does not answer: try again in a "
                "moment. Pausing and resuming work without it."
            ) from error
        levels = await self._levels(*Priority)
        items = [item | pause_document(levels[Priority(item["priority"])].pause_now) for item in found.items]
        return {"items": items, "maintenance": found.maintenance}

    async def pause(self, caller: Caller, level: Priority, reason: str | None) -> Queue:
        """Have the tasks of a level wait; one that is paused stays as it is. Raises Unavailable and VersionConflict."""
        return await self._decide(caller, level, lambda queue, stamp: queue.pause(stamp, reason=reason or None))

    async def resume(self, caller: Caller, level: Priority, reason: str | None) -> Queue:
        """Let the tasks of a level go on; one that is not paused stays as it is. Raises what `pause` raises."""
        return await self._decide(caller, level, lambda queue, stamp: queue.resume(stamp, reason=reason or None))

    async def _decide(self, caller: Caller, level: Priority, command: Callable[[Queue, Stamp], None]) -> Queue:
        async def attempt() -> Queue:
            queue = (await self._levels(level))[level]
            command(queue, stamp_of(caller, self._now()))
            if events := queue.collect_events():
                await self._log.append(events)
            return queue

        return await until_agreed(attempt)

    async def _levels(self, *levels: Priority) -> dict[Priority, Queue]:
        newest = await self._log.newest_of([queue_id(level) for level in levels], QUEUE_TOPICS)
        known = {event.level: event for event in newest if isinstance(event, QueueEvent)}
        return {level: Queue(level, known.get(level)) for level in levels}


def queue_state_document(queue: Queue) -> dict[str, Any]:
    """Return the answer to a pause or a resumption."""
    return {"priority": queue.level, **pause_document(queue.pause_now)}
