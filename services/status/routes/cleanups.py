"""Clean-ups: what each of them did."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response

from services.status.cursors import decode_number_cursor
from services.status.filters import Page
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from services.status.tables import cleanups

router = APIRouter(prefix="/cleanups", tags=["cleanups"])


@router.get("")
async def list_cleanups(request: Request, wanted: Annotated[Page, Query()]) -> Response:
    """Return clean-ups, newest first."""
    resources: Resources = request.app.state.resources
    before = decode_number_cursor(wanted.cursor) if wanted.cursor is not None else None
    rows = await resources.tables.ask(_cleanups, before, wanted.limit + 1)
    shown, next_cursor = page_of(rows, wanted.limit, lambda row: str(row["position"]))
    return json_answer({"items": [dict(row) for row in shown], "next_cursor": next_cursor})


def _cleanups(connection: sa.Connection, before: int | None, limit: int) -> list[sa.RowMapping]:
    statement = sa.select(cleanups).order_by(cleanups.c.position.desc()).limit(limit)
    if before is not None:
        statement = statement.where(cleanups.c.position < before)
    return list(connection.execute(statement).mappings())
