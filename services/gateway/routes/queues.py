"""Queues: what waits in each level, and pausing them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import queue_answers as answers
from services.gateway import queue_examples as examples
from services.gateway.authentication import Admin
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, refusal
from services.gateway.paths import Level
from services.gateway.queries import Nothing, PauseQuery
from services.gateway.queue_control import queue_state_document

router = APIRouter(prefix="/api/queues", tags=["queues"])

_COMMAND_PROBLEMS = (
    USUAL_PROBLEMS
    | refusal(
        "queue_not_found", "There is no queue 'urgent': name one of high, normal, low.", status=HTTPStatus.NOT_FOUND
    )
    | refusal("version_conflict", "1f2e... was changed by someone else at the same moment; send it again.")
)


@router.get(
    "", response_model=answers.QueuePage, responses={200: answer("All of them", examples.QUEUES), **USUAL_PROBLEMS}
)
async def list_queues(request: Request, _: Nothing) -> Response:
    """Tell of each level how many tasks wait for a worker and for how long, who takes them, and whether it is paused.

    What a schedule holds, or waits for a retry, is not counted.
    """
    return json_response(await components(request).queue_control.queues())


@router.post(
    "/{priority}/pause",
    response_model=answers.QueueState,
    responses={200: answer("It is paused", examples.PAUSED), **_COMMAND_PROBLEMS},
)
async def pause_queue(
    request: Request, caller: Admin, priority: Level, query: Annotated[PauseQuery, Query()]
) -> Response:
    """Have the tasks of a level wait, whatever becomes of any process, until it is resumed. Tasks that run go on; those
    that make way for others, or are to be retried, wait too. Doing it again changes nothing. For admins."""
    queue = await components(request).queue_control.pause(caller, priority, query.reason)
    return json_response(queue_state_document(queue))


@router.post(
    "/{priority}/resume",
    response_model=answers.QueueState,
    responses={200: answer("It is not paused", examples.RESUMED), **_COMMAND_PROBLEMS},
)
async def resume_queue(
    request: Request, caller: Admin, priority: Level, query: Annotated[PauseQuery, Query()]
) -> Response:
    """Let the tasks of a level have their turns again, at once. Doing it again changes nothing. For admins."""
    queue = await components(request).queue_control.resume(caller, priority, query.reason)
    return json_response(queue_state_document(queue))
