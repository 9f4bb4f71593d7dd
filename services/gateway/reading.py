"""Answers about tasks: from the status service when it is up to date, from the log itself when it is not."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from services.gateway.queries import OrderQuery, PageQuery, TaskQuery
from services.gateway.recent_writes import RecentWrites
from services.gateway.status_client import ProjectedTask, StatusClient
from shared.documents import event_document, order_document, step_document, task_document
from shared.domain.branch import Branch
from shared.domain.errors import Unavailable
from shared.domain.execution import WorkflowExecution
from shared.domain.views import ledger_views, step_views, task_view
from shared.log.async_event_log import AsyncEventLog
from shared.log.runs import task_not_found
from shared.objects import ObjectStore

_T = TypeVar("_T")

OF_RUNS = (f"{WorkflowExecution.TOPIC}.", f"{Branch.TOPIC}.")
"""How the topics begin of all that tells of a run; other streams are no tasks."""


class Reading:
    """Every answer is a JSON document as bytes.

    A caller reads its own writes: a projection that has not reached what this gateway appended, or does not know a
    task that another one accepted, is passed over for a fold of the task's stream, which is what it is made of.
    """

    def __init__(self, log: AsyncEventLog, status: StatusClient, writes: RecentWrites, objects: ObjectStore) -> None:
        self._log = log
        self._status = status
        self._writes = writes
        self._objects = objects

    async def task(self, task_id: UUID) -> bytes:
        """Return a task. Raises NotFound, and Unavailable when neither service nor log answers."""
        projected = await self._projected(task_id)
        return projected.document if projected else await self._task_from_log(task_id)

    async def tasks(self, query: TaskQuery) -> bytes:
        """Return a page of tasks, which only the status service can. Raises InvalidInput and Unavailable."""
        try:
            return await self._status.tasks(query.parameters())
        except Unavailable as error:
            raise Unavailable(
                "Lists need the status service, which does not answer: try again in a moment. Submitting, cancelling "
                "and GET /api/tasks/{task_id} work without it."
            ) from error

    async def steps(self, task_id: UUID, page: PageQuery) -> bytes:
        """Return a page of a task's steps. Raises what `task` raises, and InvalidInput for a foreign cursor."""
        if self._writes.version(task_id) and await self._projected(task_id) is None:
            return await self._steps_from_log(task_id, page)
        try:
            document = await self._status.steps(task_id, page.parameters())
        except Unavailable:
            document = None
        return document or await self._steps_from_log(task_id, page)

    async def events(self, task_id: UUID, page: PageQuery) -> bytes:
        """Return a page of a task's history; always from the log, since that is what it is. Raises NotFound."""
        after = int(page.cursor or 0)
        recorded = await self._log.history(task_id, after=after, limit=page.limit + 1)
        known = recorded[0] if recorded else await self._log.latest(task_id)
        if known is None or not known.event.TOPIC.startswith(OF_RUNS):
            raise task_not_found(task_id)
        return _page(recorded, page.limit, event_document, lambda each: each.position)

    async def orders(self, query: OrderQuery) -> bytes:
        """Return a page of all orders, which only the status service can. Raises InvalidInput and Unavailable."""
        try:
            return await self._status.orders(query.parameters())
        except Unavailable as error:
            raise Unavailable(
                "Lists need the status service, which does not answer: try again in a moment. "
                "GET /api/tasks/{task_id}/orders works without it."
            ) from error

    async def task_orders(self, task_id: UUID, page: PageQuery) -> bytes:
        """Return a page of a task's orders, oldest first; from the log, so that none is missing. Raises NotFound."""
        after = int(page.cursor or 0)
        ledger = list(enumerate(ledger_views(await self._log.execution(task_id)), start=1))[after:]
        return _page(ledger, page.limit, lambda each: order_document(each[1]), lambda each: each[0])

    async def cleanups(self, page: PageQuery) -> bytes:
        """Return a page of clean-ups, newest first, which only the status service can. Raises Unavailable."""
        return await self._status.cleanups(page.parameters())

    async def _projected(self, task_id: UUID) -> ProjectedTask | None:
        """Return the status service's task unless it is behind what its caller may have seen already."""
        try:
            projected = await self._status.task(task_id)
        except Unavailable:
            return None
        if projected is None or projected.version < self._writes.version(task_id):
            return None
        self._writes.forget(task_id)
        return projected

    async def _task_from_log(self, task_id: UUID) -> bytes:
        execution = await self._log.execution(task_id)
        # The next answer must not be older than this one, from wherever it comes.
        self._writes.note(task_id, execution.events)
        return await self.document(execution)

    async def document(self, execution: WorkflowExecution) -> bytes:
        """Return a task as its own record tells it."""
        view = task_view(execution)
        document = await asyncio.to_thread(task_document, view, now=datetime.now(UTC), objects=self._objects)
        return msgspec.json.encode(document)

    async def _steps_from_log(self, task_id: UUID, page: PageQuery) -> bytes:
        after = int(page.cursor or -1)
        views = [view for view in step_views(await self._log.execution(task_id)) if view.index > after]
        return _page(views, page.limit, step_document, lambda view: view.index)


def _page(
    items: Sequence[_T], limit: int, document: Callable[[_T], dict[str, Any]], cursor: Callable[[_T], int]
) -> bytes:
    """Return the first `limit` items, and the cursor of the last of them when there are more."""
    page = items[:limit]
    next_cursor = str(cursor(page[-1])) if len(items) > limit else None
    return msgspec.json.encode({"items": [document(item) for item in page], "next_cursor": next_cursor})
