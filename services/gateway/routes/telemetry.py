"""How a task went: its trace, and what was logged for it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import telemetry_answers as answers
from services.gateway import telemetry_examples as examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, problems
from services.gateway.paths import TaskId
from services.gateway.queries import LinesQuery, Nothing

router = APIRouter(prefix="/api/tasks", tags=["tasks"])

_PROBLEMS = USUAL_PROBLEMS | problems(HTTPStatus.NOT_FOUND)


@router.get(
    "/{task_id}/trace",
    response_model=answers.Trace,
    responses={200: answer("The trace", examples.TRACE), **_PROBLEMS},
)
async def read_trace(request: Request, task_id: TaskId, _: Nothing) -> Response:
    """Tell where the time of a task went: its spans, from the request that submitted it to the last order.

    They are kept for a bounded time (7 days, unless the installation says otherwise) and are there about a second after
    they have ended. A task of which nothing is kept has no spans, and a reason.
    """
    return json_response(await components(request).telemetry.trace(task_id))


@router.get(
    "/{task_id}/logs",
    response_model=answers.LogPage,
    responses={200: answer("A page", {"items": [examples.LINE], "next_cursor": None}), **_PROBLEMS},
)
async def list_logs(request: Request, task_id: TaskId, query: Annotated[LinesQuery, Query()]) -> Response:
    """List what was logged for a task, by the system and by its own steps, in the order in which it was kept.

    Lines are kept for a bounded time, and are there about a second after they were logged. To follow them, ask again
    with `after` set to the `cursor` of the last line. Secrets are masked.
    """
    return json_response(await components(request).telemetry.logs(task_id, query))
