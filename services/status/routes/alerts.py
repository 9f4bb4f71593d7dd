"""Alerts: what is wrong, and what was."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.status import alerts
from services.status.cursors import TimeCursor, decode_time_cursor, encode_time_cursor
from services.status.filters import AlertFilter
from services.status.pages import json_answer, page_of
from services.status.resources import Resources
from shared.domain.alert import alert_document

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("")
async def list_alerts(request: Request, wanted: Annotated[AlertFilter, Query()]) -> Response:
    """Return alerts, raised last first."""
    resources: Resources = request.app.state.resources
    before = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
    found = await alerts.page(resources, wanted, before)
    shown, next_cursor = page_of(
        found, wanted.limit, lambda alert: encode_time_cursor(TimeCursor(alert.since, alert.id))
    )
    return json_answer({"items": [alert_document(alert) for alert in shown], "next_cursor": next_cursor})
