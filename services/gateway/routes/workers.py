"""Workers: who runs tasks, and having one of them leave."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.gateway import worker_answers as answers
from services.gateway import worker_examples as examples
from services.gateway.authentication import Admin
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, refusal
from services.gateway.queries import Nothing

router = APIRouter(prefix="/api/workers", tags=["workers"])

_NOT_FOUND = refusal(
    "worker_not_found",
    "There is no worker 'executor@hots', and was none lately; GET /api/workers lists them.",
    status=HTTPStatus.NOT_FOUND,
)
_OFFLINE = refusal(
    "worker_offline",
    "executor@host is offline since 2026-01-30 14:30:00 UTC, and takes nothing: there is nothing to drain. What it had "
    "in hand goes on elsewhere.",
)


@router.get(
    "",
    response_model=answers.WorkerPage,
    responses={200: answer("All of them", {"items": [examples.WORKER]}), **USUAL_PROBLEMS},
)
async def list_workers(request: Request, _: Nothing) -> Response:
    """List workers by name: those that live, and for an hour those that are gone.

    One that falls silent is `unresponsive` after 3 seconds and `offline` after 60; one that says goodbye is `offline`
    at once.
    """
    return json_response({"items": await components(request).workers.all()})


@router.post(
    "/{name}/drain",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.Worker,
    responses={202: answer("Durably recorded", examples.WORKER), **USUAL_PROBLEMS, **_NOT_FOUND, **_OFFLINE},
)
async def drain_worker(
    request: Request, caller: Admin, name: Annotated[str, Path(examples=["executor@host"])], _: Nothing
) -> Response:
    """Have a worker take nothing more, finish what it has in hand, and leave. Admins only.

    The answer is the worker as it is known now: in a moment it is `draining`, and `offline` when it has left. Doing it
    again changes nothing. Who started the worker may start it again under its name: it then takes tasks as before.
    """
    return json_response(await components(request).workers.drain(caller, name), HTTPStatus.ACCEPTED)
