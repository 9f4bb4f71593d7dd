"""How the caller wants to be told of things."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from services.gateway import webhook_answers as answers
from services.gateway import webhook_examples as examples
from services.gateway.authentication import Trader
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer, problems, refusal
from services.gateway.queries import Nothing
from services.gateway.webhook_bodies import PreferencesRequest

router = APIRouter(prefix="/api/me/notifications", tags=["notifications"])


@router.get(
    "",
    response_model=answers.PreferencesAnswer,
    responses={200: answer("As you said, or the default", examples.PREFERENCES), **USUAL_PROBLEMS},
)
async def read_preferences(request: Request, caller: Trader, _: Nothing) -> Response:
    """Tell what you are told of, and by which channels: by default of own tasks that fail, and admins of alerts."""
    return json_response(await components(request).notifications.preferences(caller))


@router.put(
    "",
    response_model=answers.PreferencesAnswer,
    responses={
        200: answer("Durably recorded", examples.PREFERENCES),
        **USUAL_PROBLEMS,
        **problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        **refusal("version_conflict", "6c1f... was changed by someone else at the same moment; send it again."),
    },
)
async def set_preferences(request: Request, caller: Trader, body: PreferencesRequest, _: Nothing) -> Response:
    """Say what you are told of, and by which channels; this replaces all that was said before.

    A channel is an Apprise URL. Its URL is not shown again: one that is to stay is named by its `channel_id`.
    """
    return json_response(await components(request).notifications.set(caller, body))
