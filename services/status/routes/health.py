"""Whether this process lives, and how every part of the system does."""

from fastapi import APIRouter, Request

from services.status import health

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """Answer, which is all there is to say."""
    return {"status": "live"}


@router.get("/ready")
async def ready(request: Request) -> dict[str, object]:
    """Return each part by name; `degraded` when one is not up."""
    parts = await health.parts(request.app.state.resources)
    return {"status": "ready" if all(part["up"] for part in parts.values()) else "degraded", "parts": parts}
