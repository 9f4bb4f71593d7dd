"""Artifacts: what the steps of a task kept for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Request, Response

from services.gateway import answers, examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, problems
from services.gateway.paths import TaskId
from services.gateway.piecewise import PiecewiseResponse
from services.gateway.queries import Nothing, Page
from shared.domain.outputs import ObjectRef

router = APIRouter(prefix="/api/tasks/{task_id}/artifacts", tags=["artifacts"])

SHOWN_IN_PLACE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "text/csv", "application/json"}
)
"""Media types in which a browser finds nothing to run. All others it is told to save: SVG and HTML may bear scripts,
which would run in the name of whoever is logged in here."""

HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
}

_PROBLEMS = USUAL_PROBLEMS | problems(HTTPStatus.NOT_FOUND)
_ETAG = {"ETag": {"description": "its SHA-256 in quotes", "schema": {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}}}
_CONTENT: dict[str, Any] = {
    "description": "The artifact, in its own media type",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}, "example": "symbol,close\nMSFT,24.68\n"}},
    "headers": _ETAG | {"Content-Disposition": {"schema": {"type": "string"}}},
}


@router.get(
    "",
    response_model=answers.ArtifactPage,
    responses={200: answer("A page", {"items": [examples.ARTIFACT], "next_cursor": None}), **_PROBLEMS},
)
async def list_artifacts(request: Request, task_id: TaskId, page: Page) -> Response:
    """List what the steps of a task kept, in the order in which they did; also while it runs, and after it failed."""
    return json_response(
        await components(request).artifacts.page(task_id, after=int(page.cursor or 0), limit=page.limit)
    )


@router.get(
    "/{name}",
    response_class=PiecewiseResponse,
    responses={
        200: _CONTENT,
        304: {"description": "It is what the caller has already", "headers": _ETAG},
        **_PROBLEMS,
        **problems(HTTPStatus.GONE),
    },
)
async def read_artifact(
    request: Request,
    task_id: TaskId,
    name: Annotated[str, Path(description="as listed", examples=["signals.csv"])],
    _: Nothing,
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", description="an ETag of before: 304 if nothing has changed")
    ] = None,
) -> Response:
    """Send one artifact. It is checked against its SHA-256: one that is damaged breaks off before its end."""
    artifacts = components(request).artifacts
    ref = await artifacts.find(task_id, name)
    headers = _headers(name, ref)
    if if_none_match is not None and _matches(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    pieces = await artifacts.read(name, ref)
    return PiecewiseResponse(pieces, media_type=ref.media_type, headers={**headers, "Content-Length": str(ref.size)})


def _headers(name: str, ref: ObjectRef) -> Mapping[str, str]:
    """Return what goes with an artifact; a later step may replace it, so that it is asked for each time."""
    where = "inline" if ref.media_type.partition(";")[0].strip().lower() in SHOWN_IN_PLACE else "attachment"
    return {
        "ETag": f'"{ref.sha256}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"{where}; filename*=UTF-8''{quote(name, safe='')}",
        **HARMLESS,
    }


def _matches(if_none_match: str, etag: str) -> bool:
    """Tell whether one of the listed ETags is this one (RFC 9110, 13.1.2: the weak comparison)."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in given or etag in given
