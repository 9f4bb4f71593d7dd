"""Webhooks: addresses that are told of events, and what was delivered to them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import webhook_answers as answers
from services.gateway import webhook_examples as examples
from services.gateway.authentication import Trader
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.idempotency import IdempotencyKey
from services.gateway.openapi import LOCATION, USUAL_PROBLEMS, answer, problems, refusal
from services.gateway.paths import DeliveryId, WebhookId
from services.gateway.queries import DeliveryQuery, Nothing, WebhookQuery
from services.gateway.webhook_bodies import WebhookChange, WebhookRequest

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])

_READ_PROBLEMS = USUAL_PROBLEMS | refusal(
    "webhook_not_found",
    "There is no webhook 6f1c...; check the id, or list yours with GET /api/webhooks.",
    status=HTTPStatus.NOT_FOUND,
)
_DELIVERY_PROBLEMS = USUAL_PROBLEMS | refusal(
    "delivery_not_found",
    "This webhook has no delivery 0a4d...; its list names those of the last 30 days.",
    status=HTTPStatus.NOT_FOUND,
)
_OVERTAKEN = refusal("version_conflict", "6f1c... was changed by someone else at the same moment; send it again.")
_KEY_REUSED = refusal(
    "idempotency_key_reused",
    "This Idempotency-Key stands for another request of yours: send that one's body, or take a new key.",
)
_TOO_LARGE = problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_COMMAND_PROBLEMS = _READ_PROBLEMS | _OVERTAKEN


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=answers.WebhookWithSecret,
    responses={
        200: answer(
            "Made before, under this key",
            examples.WITH_SECRET | {"secret": None},
            headers=LOCATION,
            model=answers.WebhookWithSecret,
        ),
        201: answer("Durably recorded", examples.WITH_SECRET, headers=LOCATION),
        **USUAL_PROBLEMS,
        **_TOO_LARGE,
        **_KEY_REUSED,
    },
)
async def create_webhook(
    request: Request, caller: Trader, body: WebhookRequest, _: Nothing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have an address told of events from now on. The answer bears the secret, which is shown only now.

    Each event is posted as a CloudEvent, signed to the Standard Webhooks specification, until the address answers with
    2xx, for a day.
    """
    webhooks = components(request).webhooks
    revealed = await webhooks.create(caller, body, idempotency_key)
    document = webhooks.document(revealed.state) | {"secret": revealed.secret}
    status = HTTPStatus.OK if revealed.again else HTTPStatus.CREATED
    return json_response(document, status, {"Location": f"/api/webhooks/{revealed.state.webhook_id}"})


@router.get(
    "",
    response_model=answers.WebhookPage,
    responses={200: answer("A page", {"items": [examples.WEBHOOK], "next_cursor": None}), **USUAL_PROBLEMS},
)
async def list_webhooks(request: Request, caller: Trader, query: Annotated[WebhookQuery, Query()]) -> Response:
    """List your webhooks, newest first; admins see everybody's."""
    return json_response(await components(request).webhooks.webhooks(caller, query))


@router.get(
    "/{webhook_id}",
    response_model=answers.WebhookAnswer,
    responses={200: answer("The webhook", examples.WEBHOOK), **_READ_PROBLEMS},
)
async def read_webhook(request: Request, caller: Trader, webhook_id: WebhookId, _: Nothing) -> Response:
    """Tell of one webhook."""
    webhooks = components(request).webhooks
    return json_response(webhooks.document(await webhooks.own(caller, webhook_id)))


@router.patch(
    "/{webhook_id}",
    response_model=answers.WebhookAnswer,
    responses={200: answer("As it is now", examples.WEBHOOK), **_COMMAND_PROBLEMS, **_TOO_LARGE},
)
async def change_webhook(
    request: Request, caller: Trader, webhook_id: WebhookId, body: WebhookChange, _: Nothing
) -> Response:
    """Give a webhook another address or other types, or enable or disable it. What waits goes to the new address."""
    webhooks = components(request).webhooks
    return json_response(webhooks.document(await webhooks.change(caller, webhook_id, body)))


@router.delete(
    "/{webhook_id}",
    response_model=answers.WebhookAnswer,
    responses={200: answer("It is deleted", examples.WEBHOOK | {"enabled": False}), **_COMMAND_PROBLEMS},
)
async def delete_webhook(request: Request, caller: Trader, webhook_id: WebhookId, _: Nothing) -> Response:
    """Have an address told of nothing more; what waits for it is not delivered."""
    webhooks = components(request).webhooks
    return json_response(webhooks.document(await webhooks.delete(caller, webhook_id)))


@router.post(
    "/{webhook_id}/rotate",
    response_model=answers.WebhookWithSecret,
    responses={200: answer("It has another secret", examples.WITH_SECRET), **_COMMAND_PROBLEMS},
)
async def rotate_secret(request: Request, caller: Trader, webhook_id: WebhookId, _: Nothing) -> Response:
    """Give a webhook another secret, shown only now. For a day deliveries are signed with the former one as well."""
    webhooks = components(request).webhooks
    revealed = await webhooks.rotate(caller, webhook_id)
    return json_response(webhooks.document(revealed.state) | {"secret": revealed.secret})


@router.post(
    "/{webhook_id}/test",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.WebhookAnswer,
    responses={202: answer("It is on its way", examples.WEBHOOK), **_COMMAND_PROBLEMS},
)
async def try_webhook(request: Request, caller: Trader, webhook_id: WebhookId, _: Nothing) -> Response:
    """Have an event of type `blotter.webhook.tested` delivered now; the list of deliveries tells what became of it."""
    webhooks = components(request).webhooks
    return json_response(webhooks.document(await webhooks.test(caller, webhook_id)), HTTPStatus.ACCEPTED)


@router.get(
    "/{webhook_id}/deliveries",
    response_model=answers.DeliveryPage,
    responses={200: answer("A page", {"items": [examples.DELIVERY], "next_cursor": None}), **_READ_PROBLEMS},
)
async def list_deliveries(
    request: Request, caller: Trader, webhook_id: WebhookId, query: Annotated[DeliveryQuery, Query()]
) -> Response:
    """List what was and is to be delivered to a webhook, newest event first. It is kept for 30 days."""
    return json_response(await components(request).webhooks.deliveries(caller, webhook_id, query.parameters()))


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    response_model=answers.DeliveryWithTries,
    responses={200: answer("The delivery", examples.WITH_TRIES), **_DELIVERY_PROBLEMS},
)
async def read_delivery(
    request: Request, caller: Trader, webhook_id: WebhookId, delivery_id: DeliveryId, _: Nothing
) -> Response:
    """Tell of one delivery: what is delivered, and what each try has come to."""
    return json_response(await components(request).webhooks.delivery(caller, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.DeliveryWithTries,
    responses={202: answer("It is tried again, from now on", examples.WITH_TRIES), **_DELIVERY_PROBLEMS, **_OVERTAKEN},
)
async def redeliver(
    request: Request, caller: Trader, webhook_id: WebhookId, delivery_id: DeliveryId, _: Nothing
) -> Response:
    """Have a delivery that was given up, or taken, tried again for a day. One that is under way stays as it is."""
    delivery = await components(request).webhooks.redeliver(caller, webhook_id, delivery_id)
    return json_response(delivery, HTTPStatus.ACCEPTED)
