"""The traces and the log lines of tasks."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.status import queries
from services.status.filters import MAX_LIMIT
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from services.status.telemetry import lines_after, place_of, trace_document, trace_rows
from shared.log.runs import task_not_found

router = APIRouter(prefix="/tasks", tags=["telemetry"])


class LinesFilter(BaseModel):
    """Which log lines: those after a cursor, of a level or above."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str | None = Field(None, max_length=200)
    level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    limit: int = Field(100, ge=1, le=MAX_LIMIT)


@router.get("/{task_id}/trace")
async def get_trace(request: Request, task_id: UUID) -> Response:
    """Return what is kept of a task's trace; 404 when the task is not projected."""
    resources: Resources = request.app.state.resources
    view = await resources.tables.ask(queries.task, task_id)
    if view is None:
        raise task_not_found(task_id)
    rows = await resources.tables.ask(trace_rows, UUID(view.trace_id), task_id) if view.trace_id else []
    return json_answer(trace_document(view, rows, retention=resources.telemetry_retention, now=datetime.now(UTC)))


@router.get("/{task_id}/logs")
async def list_lines(request: Request, task_id: UUID, wanted: Annotated[LinesFilter, Query()]) -> Response:
    """Return log lines of a task in the order in which they were kept; 404 when neither they nor the task are known."""
    resources: Resources = request.app.state.resources
    after = place_of(wanted.after)
    found = await resources.tables.ask(lines_after, task_id, after=after, level=wanted.level, limit=wanted.limit)
    if not found and await resources.tables.ask(queries.task, task_id) is None:
        raise task_not_found(task_id)
    page, next_cursor = page_of(found, wanted.limit, lambda line: str(line["cursor"]))
    return json_answer({"items": page, "next_cursor": next_cursor})
