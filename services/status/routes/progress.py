"""Progress: what running steps say of themselves, as they say it."""

from fastapi import APIRouter, Request

from services.status.resources import Resources
from shared.http_server import Stream

router = APIRouter(prefix="/progress", tags=["progress"])


@router.get("", response_class=Stream)
async def listen(request: Request) -> Stream:
    """Send a line of JSON a report, without end."""
    resources: Resources = request.app.state.resources
    return Stream(resources.progress_reports.lines(), media_type="application/x-ndjson")
