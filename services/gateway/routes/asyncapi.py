"""What is published to subscribers: the AsyncAPI document, and a page of it."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import answer, problems
from services.gateway.queries import Nothing

router = APIRouter(tags=["published events"])

_PROBLEMS = problems(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
_EXAMPLE = {"asyncapi": "3.0.0", "info": {"title": "Blotter", "version": "0.1.0"}, "channels": {}}
_PAGE: dict[str, Any] = {
    "description": "A page that loads nothing from elsewhere",
    "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."}},
}
_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@router.get(
    "/asyncapi.json",
    response_model=dict[str, Any],
    responses={200: answer("The document", _EXAMPLE), **_PROBLEMS},
)
async def read_asyncapi(request: Request, _: Nothing) -> Response:
    """Describe the published events, their streams and what they hold, as AsyncAPI 3.0."""
    return json_response(await components(request).published_events.document())


@router.get("/asyncapi", response_class=HTMLResponse, responses={200: _PAGE, **_PROBLEMS})
async def show_asyncapi(request: Request, _: Nothing) -> HTMLResponse:
    """Show the published events to people."""
    return HTMLResponse(await components(request).published_events.page(), headers=_POLICY)
