"""Workers as their heartbeats tell."""

from fastapi import APIRouter, Request, Response

from services.status.pages import json_answer
from services.status.seen_workers import seen_workers

router = APIRouter(tags=["workers"])


@router.get("/workers")
async def list_workers(request: Request) -> Response:
    """Return the workers that live and those that did lately, by name."""
    items = await seen_workers(request.app.state.resources.quiet_redis)
    return json_answer({"items": items})
