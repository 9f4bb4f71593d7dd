"""The trace and the log lines of a task: kept for a bounded time, and told by the status service alone."""

from uuid import UUID

import msgspec

from services.gateway.queries import LinesQuery
from services.gateway.reading import OF_RUNS
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable
from shared.domain.views import trace_id
from shared.log.async_event_log import AsyncEventLog
from shared.log.runs import task_not_found

NOT_YET = "The task was submitted a moment ago, and its spans are on their way: ask again in a second."


class Telemetry:
    """Every answer is a JSON document as bytes."""

    def __init__(self, log: AsyncEventLog, status: StatusClient) -> None:
        self._log = log
        self._status = status

    async def trace(self, task_id: UUID) -> bytes:
        """Return a task's spans. Raises NotFound and Unavailable."""
        try:
            document = await self._status.trace(task_id)
        except Unavailable as error:
            raise _not_told("Traces") from error
        if document is None:
            trace = await self._trace_of(task_id)
            empty: dict[str, object] = {
                "task_id": str(task_id),
                "trace_id": trace,
                "spans": [],
                "truncated": False,
                "reason": NOT_YET,
            }
            document = msgspec.json.encode(empty)
        return document

    async def logs(self, task_id: UUID, query: LinesQuery) -> bytes:
        """Return a page of a task's log lines. Raises NotFound, InvalidInput and Unavailable."""
        try:
            document = await self._status.logs(task_id, query.parameters())
        except Unavailable as error:
            raise _not_told("Log lines") from error
        if document is None:
            await self._trace_of(task_id)
            document = msgspec.json.encode({"items": [], "next_cursor": None})
        return document

    async def _trace_of(self, task_id: UUID) -> str | None:
        """Return the trace of a task that the tables do not know; raises NotFound when the log does not either."""
        latest = await self._log.latest(task_id)
        if latest is None or not latest.event.TOPIC.startswith(OF_RUNS):
            raise task_not_found(task_id)
        return trace_id(latest.event.trace)


def _not_told(what: str) -> Unavailable:
    return Unavailable(
        f"{what} are told by the status service, which does not answer: try again in a moment. The task itself, its "
        "steps and its history can be read without it."
    )
