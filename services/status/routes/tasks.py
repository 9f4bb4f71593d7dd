"""Tasks, their steps and their events."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from services.status import queries
from services.status.cursors import TimeCursor, decode_number_cursor, decode_time_cursor, encode_time_cursor
from services.status.explaining import reason
from services.status.filters import LiveFilter, Page, TaskFilter
from services.status.pages import json_answer, page_of
from services.status.projector import PROJECTOR, RUN_TOPICS
from services.status.resources import Resources
from services.status.tables import positions
from shared.documents import event_document, step_document, task_document
from shared.domain.views import TaskView
from shared.log.positions import read_position
from shared.log.runs import task_not_found
from shared.result_backend import STEP_PROGRESS

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("/live")
async def list_live_tasks(request: Request, wanted: Annotated[LiveFilter, Query()]) -> Response:
    """Return the ids of the tasks that have not ended, as the tables know them at `position` or later."""
    resources: Resources = request.app.state.resources
    after = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
    position = await resources.tables.ask(read_position, positions, PROJECTOR)
    rows = await resources.tables.ask(queries.live_tasks, wanted, after)
    page, next_cursor = page_of(
        rows, wanted.limit, lambda row: encode_time_cursor(TimeCursor(row.submitted_at, row.task_id))
    )
    return json_answer(
        {
            "items": [{"task_id": row.task_id, "version": row.version} for row in page],
            "next_cursor": next_cursor,
            "position": position,
            "finished": await resources.tables.ask(queries.count_ended, wanted) if after is None else None,
        }
    )


@router.get("/{task_id}")
async def get_task(request: Request, task_id: UUID) -> Response:
    """Return one task; 404 when it is not projected, which does not mean that the log does not know it."""
    resources: Resources = request.app.state.resources
    view = await resources.tables.ask(queries.task, task_id)
    if view is None:
        raise task_not_found(task_id)
    document = await run_in_threadpool(_document, view, resources, await reason(resources, view))
    step_progress = await resources.live_progress.of(view)
    if step_progress is not None:
        document["progress"][STEP_PROGRESS] = step_progress
    return json_answer(document)


@router.get("")
async def list_tasks(request: Request, wanted: Annotated[TaskFilter, Query()]) -> Response:
    """Return tasks, newest first; `reason` here is what a task's own record tells."""
    resources: Resources = request.app.state.resources
    after = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
    views = await resources.tables.ask(queries.tasks, wanted, after)

    def cursor(view: TaskView) -> str:
        return encode_time_cursor(TimeCursor(view.submitted_at, UUID(view.task_id)))

    page, next_cursor = page_of(views, wanted.limit, cursor)
    items = await run_in_threadpool(lambda: [_document(view, resources) for view in page])
    return json_answer({"items": items, "next_cursor": next_cursor})


@router.get("/{task_id}/steps")
async def list_steps(request: Request, task_id: UUID, page: Annotated[Page, Query()]) -> Response:
    """Return the steps of a task in the order in which they run."""
    resources: Resources = request.app.state.resources
    after = decode_number_cursor(page.cursor) if page.cursor is not None else -1
    views = await resources.tables.ask(queries.steps, task_id, after=after, limit=page.limit + 1)
    if not views and await resources.tables.ask(queries.task, task_id) is None:
        raise task_not_found(task_id)
    shown, next_cursor = page_of(views, page.limit, lambda view: str(view.index))
    return json_answer({"items": [step_document(view) for view in shown], "next_cursor": next_cursor})


@router.get("/{task_id}/events")
async def list_events(request: Request, task_id: UUID, page: Annotated[Page, Query()]) -> Response:
    """Return the history of a task from the log itself, oldest first; a cursor is a position."""
    log = request.app.state.resources.log
    after = decode_number_cursor(page.cursor) if page.cursor is not None else 0
    recorded = await log.history(task_id, after=after, limit=page.limit + 1)
    known = recorded[0] if recorded else await log.latest(task_id)
    if known is None or known.event.TOPIC not in RUN_TOPICS:
        raise task_not_found(task_id)
    shown, next_cursor = page_of(recorded, page.limit, lambda each: str(each.position))
    return json_answer({"items": [event_document(each) for each in shown], "next_cursor": next_cursor})


def _document(view: TaskView, resources: Resources, why: str | None = None) -> dict[str, Any]:
    return task_document(view, now=datetime.now(UTC), objects=resources.objects, reason=why)
