"""Webhooks as they are projected, and what the notifier has delivered to them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.status import webhook_queries as queries
from services.status.cursors import (
    LARGEST_NUMBER,
    TimeCursor,
    decode_number_cursor,
    decode_time_cursor,
    encode_time_cursor,
)
from services.status.filters import DeliveryFilter, WebhookFilter
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from shared.domain.errors import NotFound

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.get("")
async def list_webhooks(request: Request, wanted: Annotated[WebhookFilter, Query()]) -> Response:
    """Return webhooks, newest first, secrets sealed."""
    resources: Resources = request.app.state.resources
    after = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
    rows = await resources.tables.ask(queries.webhooks, wanted, after)
    shown, next_cursor = page_of(
        rows, wanted.limit, lambda row: encode_time_cursor(TimeCursor(row.created_at, row.webhook_id))
    )
    return json_answer({"items": [row.state for row in shown], "next_cursor": next_cursor})


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(request: Request, webhook_id: UUID, wanted: Annotated[DeliveryFilter, Query()]) -> Response:
    """Return deliveries, newest event first; a cursor is a position."""
    resources: Resources = request.app.state.resources
    before = decode_number_cursor(wanted.cursor) if wanted.cursor is not None else LARGEST_NUMBER
    rows = await resources.tables.ask(queries.deliveries, webhook_id, wanted, before=before)
    shown, next_cursor = page_of(rows, wanted.limit, lambda row: str(row["position"]))
    return json_answer({"items": shown, "next_cursor": next_cursor})


@router.get("/{webhook_id}/deliveries/{delivery_id}")
async def read_delivery(request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Return one delivery with its tries."""
    resources: Resources = request.app.state.resources
    found = await resources.tables.ask(queries.delivery, webhook_id, delivery_id)
    if found is None:
        raise NotFound("delivery", f"Webhook {webhook_id} has no delivery {delivery_id}.")
    return json_answer(found)
