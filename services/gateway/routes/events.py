"""Events: the log itself."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import answers, examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.event_types import topics_of
from services.gateway.openapi import USUAL_PROBLEMS, answer
from services.gateway.queries import EventsQuery

router = APIRouter(prefix="/api/events", tags=["events"])

_PAGE = {"items": [examples.CLOUD_EVENT], "next_cursor": None, "position": 4711}


@router.get(
    "",
    response_model=answers.CloudEventPage,
    responses={200: answer("A page", _PAGE), **USUAL_PROBLEMS},
)
async def list_log(request: Request, query: Annotated[EventsQuery, Query()]) -> Response:
    """List the events of the log as CloudEvents 1.0, oldest first.

    `position` is how far the log was looked through: ask again after it for what has come since, without a gap or a
    repeat. `next_cursor` is the same as long as there is more now, and null at the end. A position that the log has not
    reached is refused.
    """
    feed = components(request).event_feed
    return json_response(await feed.page(int(query.after), topics=topics_of(query.types), limit=query.limit))
