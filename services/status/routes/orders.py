"""Orders: the ledger, as far as it is projected."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.status import queries
from services.status.cursors import OrderCursor, decode_order_cursor, encode_order_cursor
from services.status.filters import OrderFilter
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from shared.documents import order_document

router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("")
async def list_orders(request: Request, wanted: Annotated[OrderFilter, Query()]) -> Response:
    """Return orders, newest first."""
    resources: Resources = request.app.state.resources
    after = decode_order_cursor(wanted.cursor) if wanted.cursor is not None else None
    views = await resources.tables.ask(queries.orders, wanted, after)
    shown, next_cursor = page_of(
        views,
        wanted.limit,
        lambda view: encode_order_cursor(OrderCursor(view.requested_at, view.client_order_id)),
    )
    return json_answer({"items": [order_document(view) for view in shown], "next_cursor": next_cursor})
