"""Health: whether this process lives, and whether the system can take work."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from services.gateway import answers, examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import answer, problems
from services.gateway.queries import Nothing
from services.gateway.readiness import Verdict, verdict

router = APIRouter(prefix="/health", tags=["health"])

_PROBLEMS = problems(HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get(
    "/live",
    response_model=answers.Alive,
    responses={200: answer("It answers", {"status": "live"}), **_PROBLEMS},
)
async def live(_: Nothing) -> Response:
    """Answer, which is all there is to tell."""
    return json_response({"status": "live"})


@router.get(
    "/ready",
    response_model=answers.ReadyAnswer,
    responses={
        200: answer("Tasks are accepted; `degraded` when another part is down", examples.READY),
        503: answer("Tasks cannot be accepted", examples.UNAVAILABLE, model=answers.ReadyAnswer),
        **_PROBLEMS,
    },
)
async def ready(request: Request, _: Nothing) -> Response:
    """Tell how every part does, by name."""
    parts = await components(request).readiness.parts()
    found = verdict(parts)
    status = HTTPStatus.SERVICE_UNAVAILABLE if found is Verdict.UNAVAILABLE else HTTPStatus.OK
    return json_response({"status": found, "parts": parts}, status)
