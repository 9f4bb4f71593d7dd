"""What is published, as an AsyncAPI document."""

from fastapi import APIRouter, Response

from services.status import asyncapi

router = APIRouter(tags=["asyncapi"])


@router.get("/asyncapi.json")
async def read_asyncapi() -> Response:
    """Return the document; it depends on the version alone, and needs neither the tables nor Redis."""
    return Response(asyncapi.document(), media_type="application/json")
