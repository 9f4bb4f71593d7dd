"""Alerts: what is wrong, what was, and who looks after it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import alert_answers as answers
from services.gateway.authentication import Trader
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, refusal
from services.gateway.paths import AlertId
from services.gateway.queries import AlertQuery, NoteQuery, Nothing
from shared.domain.alert import alert_document

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

_NOT_FOUND = refusal(
    "alert_not_found",
    "There is no alert 3b6f0a52-93c7-5a4e-8a0d-2b9f4c7e1d38: GET /api/alerts lists those that there are.",
    status=HTTPStatus.NOT_FOUND,
)


@router.get(
    "", response_model=answers.AlertPage, responses={200: answer("Raised last first", answers.ALERTS), **USUAL_PROBLEMS}
)
async def list_alerts(request: Request, wanted: Annotated[AlertQuery, Query()]) -> Response:
    """List what is wrong and what was, raised last first. An alert that comes back is the same one, raised again."""
    return json_response(await components(request).alert_control.alerts(wanted.parameters()))


@router.get(
    "/{alert_id}",
    response_model=answers.AlertAnswer,
    responses={200: answer("The alert", answers.ALERT), **USUAL_PROBLEMS, **_NOT_FOUND},
)
async def read_alert(request: Request, alert_id: AlertId, _: Nothing) -> Response:
    """Return one alert, as the log has it."""
    return json_response(alert_document(await components(request).alert_control.alert(alert_id)))


@router.post(
    "/{alert_id}/acknowledge",
    response_model=answers.AlertAnswer,
    responses={
        200: answer("It is acknowledged", answers.ACKNOWLEDGED),
        **USUAL_PROBLEMS,
        **_NOT_FOUND,
        **refusal("version_conflict", "3b6f... was changed by someone else at the same moment; send it again."),
    },
)
async def acknowledge_alert(
    request: Request, caller: Trader, alert_id: AlertId, query: Annotated[NoteQuery, Query()]
) -> Response:
    """Say that one knows of it and looks after it. Doing it again changes nothing: the first one stands, until the
    alert is raised anew. For traders and admins."""
    alert = await components(request).alert_control.acknowledge(caller, alert_id, query.note)
    return json_response(alert_document(alert))
