"""Orders: the ledger of all tasks."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import answers, examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer
from services.gateway.queries import OrderQuery

router = APIRouter(prefix="/api/orders", tags=["orders"])


@router.get(
    "",
    response_model=answers.OrderPage,
    responses={200: answer("A page", {"items": [examples.ORDER], "next_cursor": None}), **USUAL_PROBLEMS},
)
async def list_orders(request: Request, query: Annotated[OrderQuery, Query()]) -> Response:
    """List orders, newest first."""
    return json_response(await components(request).reading.orders(query))
