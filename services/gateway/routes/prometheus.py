"""Metrics as Prometheus scrapes them."""

from fastapi import APIRouter, Request, Response

from services.gateway.components import components
from services.gateway.queries import Nothing

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def scrape(request: Request, _: Nothing) -> Response:
    """Return all series as text; OpenMetrics for who accepts it, with traces as exemplars."""
    text, media_type = await components(request).exposition.text(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type})
