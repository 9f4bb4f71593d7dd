"""Maintenance: what the clean-ups did."""

from fastapi import APIRouter, Request, Response

from services.gateway import cleanup_answers as answers
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer
from services.gateway.queries import Page

router = APIRouter(prefix="/api/maintenance", tags=["maintenance"])


@router.get(
    "/cleanups",
    response_model=answers.CleanupPage,
    responses={200: answer("Newest first", answers.EXAMPLE), **USUAL_PROBLEMS},
)
async def list_cleanups(request: Request, page: Page) -> Response:
    """List past clean-ups with their statistics, newest first: one a night, and those that were started by hand."""
    return json_response(await components(request).reading.cleanups(page))
