"""The queues: what waits, who takes it, and what is paused."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from services.status import queues
from services.status.pages import json_answer
from services.status.resources import Resources
from shared.domain.priority import Priority
from shared.routing import MAINTENANCE

router = APIRouter(prefix="/queues", tags=["queues"])


@router.get("")
async def list_queues(request: Request) -> Response:
    """Return each level, highest first, and the queue of clean-ups, as far as Redis tells."""
    resources: Resources = request.app.state.resources
    waiting = await resources.tables.ask(queues.waiting)
    pauses = await resources.tables.ask(queues.pauses)
    beats = await resources.heartbeats.all()
    now = datetime.now(UTC)
    maintenance = {
        "depth": await resources.heartbeats.length(MAINTENANCE),
        "consumers": None if beats is None else queues.consumers(beats, MAINTENANCE),
    }
    items = [queues.queue_document(each, waiting[each], pauses.get(each), beats, now=now) for each in Priority]
    return json_answer({"items": items, "maintenance": maintenance})
