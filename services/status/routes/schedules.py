"""Schedules, and what has become of their times, as far as they are projected."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.status import schedule_queries as queries
from services.status.cursors import (
    LARGEST_NUMBER,
    TimeCursor,
    decode_number_cursor,
    decode_time_cursor,
    encode_time_cursor,
)
from services.status.filters import Page, ScheduleFilter
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from shared.log.schedules import schedule_not_found

router = APIRouter(prefix="/schedules", tags=["schedules"])


@router.get("")
async def list_schedules(request: Request, wanted: Annotated[ScheduleFilter, Query()]) -> Response:
    """Return schedules, newest first."""
    resources: Resources = request.app.state.resources
    after = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
    rows = await resources.tables.ask(queries.schedules, wanted, after)
    shown, next_cursor = page_of(
        rows, wanted.limit, lambda row: encode_time_cursor(TimeCursor(row.created_at, row.schedule_id))
    )
    return json_answer({"items": [row.state for row in shown], "next_cursor": next_cursor})


@router.get("/{schedule_id}/history")
async def list_history(request: Request, schedule_id: UUID, page: Annotated[Page, Query()]) -> Response:
    """Return what happened to a schedule, newest first; a cursor is a position."""
    resources: Resources = request.app.state.resources
    before = decode_number_cursor(page.cursor) if page.cursor is not None else LARGEST_NUMBER
    rows = await resources.tables.ask(queries.history, schedule_id, before=before, limit=page.limit + 1)
    if not rows and await resources.tables.ask(queries.schedule, schedule_id) is None:
        raise schedule_not_found(schedule_id)
    shown, next_cursor = page_of(rows, page.limit, lambda row: str(row["position"]))
    return json_answer({"items": shown, "next_cursor": next_cursor})
