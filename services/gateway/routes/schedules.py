"""Schedules: strategies that run at times."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from services.gateway import schedule_answers as answers
from services.gateway import schedule_examples as examples
from services.gateway.authentication import Trader
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.idempotency import IdempotencyKey
from services.gateway.openapi import LOCATION, USUAL_PROBLEMS, answer, problems, refusal
from services.gateway.paths import ScheduleId
from services.gateway.queries import DisableQuery, Nothing, Page, ScheduleQuery, UpcomingQuery
from services.gateway.schedule_bodies import BackfillRequest, ScheduleChange, ScheduleRequest, TriggerRequest
from services.gateway.schedule_documents import backfill_document, triggered_document

router = APIRouter(prefix="/api/schedules", tags=["schedules"])

AS_IT_IS = TriggerRequest()

_READ_PROBLEMS = USUAL_PROBLEMS | refusal(
    "schedule_not_found",
    "There is no schedule 0c7a...; check the id, or list schedules with GET /api/schedules.",
    status=HTTPStatus.NOT_FOUND,
)
_BODY_PROBLEMS = (
    USUAL_PROBLEMS
    | problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    | refusal(
        "strategy_not_found",
        "There is no strategy sma-crosover. Did you mean sma-crossover?",
        status=HTTPStatus.NOT_FOUND,
    )
)
_KEY_REUSED = refusal(
    "idempotency_key_reused",
    "This Idempotency-Key stands for another request of yours: send that one's body, or take a new key.",
)
_OVERTAKEN = refusal("version_conflict", "0c7a... was changed by someone else at the same moment; send it again.")
_OVERLAP = refusal(
    "schedule_overlap",
    "Task 5b0f... of schedule 0c7a... has not ended, and the overlap policy allows no other one: wait for its end, or "
    'cancel it; to run it beside that all the same, send {"overlap": "allow_all"}.',
)
_TOO_LARGE = problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_COMMAND_PROBLEMS = _READ_PROBLEMS | _OVERTAKEN


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=answers.ScheduleAnswer,
    responses={
        200: answer(
            "Written before, under this key", examples.SCHEDULE, headers=LOCATION, model=answers.ScheduleAnswer
        ),
        201: answer("Durably recorded", examples.SCHEDULE, headers=LOCATION),
        **_BODY_PROBLEMS,
        **_KEY_REUSED,
    },
)
async def create_schedule(
    request: Request, caller: Trader, body: ScheduleRequest, _: Nothing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Write a schedule: it is checked, durably recorded, and fires from now on if it is enabled. Its runs are yours."""
    parts = components(request)
    creation = await parts.schedules.create(caller, body, idempotency_key)
    document = await parts.schedule_reading.document(creation.schedule)
    status = HTTPStatus.OK if creation.again else HTTPStatus.CREATED
    return json_response(document, status, {"Location": f"/api/schedules/{document['schedule_id']}"})


@router.post(
    "/preview",
    response_model=answers.PreviewAnswer,
    responses={200: answer("The first 10 times", examples.PREVIEW), **_BODY_PROBLEMS},
)
async def preview_schedule(request: Request, body: ScheduleRequest, _: Nothing) -> Response:
    """Tell when a schedule would fire if it were enabled, or why it would be refused; nothing is saved.

    With jitter it is not known yet when each time fires, and `due_at` is null.
    """
    return json_response(await components(request).previews.preview(body))


@router.get(
    "",
    response_model=answers.SchedulePage,
    responses={200: answer("A page", {"items": [examples.SCHEDULE], "next_cursor": None}), **USUAL_PROBLEMS},
)
async def list_schedules(request: Request, query: Annotated[ScheduleQuery, Query()]) -> Response:
    """List schedules, newest first, without those that are deleted."""
    return json_response(await components(request).schedule_reading.schedules(query))


@router.get(
    "/{schedule_id}",
    response_model=answers.ScheduleAnswer,
    responses={200: answer("The schedule", examples.SCHEDULE), **_READ_PROBLEMS},
)
async def read_schedule(request: Request, schedule_id: ScheduleId, _: Nothing) -> Response:
    """Tell what a schedule is, when it fires next, and what has become of its times. A deleted one is not found."""
    return json_response(await components(request).schedule_reading.schedule(schedule_id))


@router.patch(
    "/{schedule_id}",
    response_model=answers.ScheduleAnswer,
    responses={200: answer("The schedule as it is now", examples.SCHEDULE), **_COMMAND_PROBLEMS, **_TOO_LARGE},
)
async def change_schedule(
    request: Request, caller: Trader, schedule_id: ScheduleId, body: ScheduleChange, _: Nothing
) -> Response:
    """Change some fields of a schedule, each as a whole; null takes a value away where a field may have none.

    What is given is checked like a creation, together with the rest. If its times change, those that are past and have
    not fired never will. Traders change their own, admins any.
    """
    parts = components(request)
    schedule = await parts.schedules.change(caller, schedule_id, body)
    return json_response(await parts.schedule_reading.document(schedule))


@router.delete(
    "/{schedule_id}",
    response_model=answers.ScheduleAnswer,
    responses={200: answer("It fires no more", examples.DELETED), **_COMMAND_PROBLEMS},
)
async def delete_schedule(request: Request, caller: Trader, schedule_id: ScheduleId, _: Nothing) -> Response:
    """Delete a schedule: it never fires again. Its tasks stay, and those that run go on; those that are held are
    cancelled. Traders delete their own, admins any."""
    parts = components(request)
    schedule = await parts.schedules.delete(caller, schedule_id)
    return json_response(await parts.schedule_reading.document(schedule))


@router.post(
    "/{schedule_id}/enable",
    response_model=answers.ScheduleAnswer,
    responses={200: answer("It fires from now on", examples.SCHEDULE), **_COMMAND_PROBLEMS},
)
async def enable_schedule(request: Request, caller: Trader, schedule_id: ScheduleId, _: Nothing) -> Response:
    """Let a schedule fire from now on; the times while it was disabled are never caught up. Doing it again changes
    nothing."""
    parts = components(request)
    schedule = await parts.schedules.enable(caller, schedule_id)
    return json_response(await parts.schedule_reading.document(schedule))


@router.post(
    "/{schedule_id}/disable",
    response_model=answers.ScheduleAnswer,
    responses={200: answer("It does not fire by its own times", examples.DISABLED), **_COMMAND_PROBLEMS},
)
async def disable_schedule(
    request: Request, caller: Trader, schedule_id: ScheduleId, query: Annotated[DisableQuery, Query()]
) -> Response:
    """Keep a schedule from firing by its own times. Its runs go on; those of its own times that are held are cancelled.
    Doing it again changes nothing."""
    parts = components(request)
    schedule = await parts.schedules.disable(caller, schedule_id, query.reason)
    return json_response(await parts.schedule_reading.document(schedule))


@router.post(
    "/{schedule_id}/trigger",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.TriggerAnswer,
    responses={
        200: answer(
            "Accepted before, under this key", examples.TRIGGERED, headers=LOCATION, model=answers.TriggerAnswer
        ),
        202: answer("Durably recorded", examples.TRIGGERED, headers=LOCATION),
        **_READ_PROBLEMS,
        **_TOO_LARGE,
        **_OVERLAP,
    },
)
async def trigger_schedule(
    request: Request,
    caller: Trader,
    schedule_id: ScheduleId,
    _: Nothing,
    body: Annotated[TriggerRequest, Body()] = AS_IT_IS,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Fire a schedule now, once, also one that is disabled. The run belongs to the schedule's owner.

    It is under the schedule's overlap policy unless the body names another one. If that allows no run, nothing is
    recorded (409).
    """
    triggered = await components(request).triggers.trigger(caller, schedule_id, body, idempotency_key)
    document = triggered_document(triggered)
    status = HTTPStatus.OK if triggered.again else HTTPStatus.ACCEPTED
    return json_response(document, status, {"Location": f"/api/tasks/{document['task_id']}"})


@router.post(
    "/{schedule_id}/backfill",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.BackfillAnswer,
    responses={
        200: answer("Accepted before, under this key", examples.BACKFILL, model=answers.BackfillAnswer),
        202: answer("Durably recorded", examples.BACKFILL),
        **_READ_PROBLEMS,
        **_TOO_LARGE,
        **_KEY_REUSED,
    },
)
async def backfill_schedule(
    request: Request,
    caller: Trader,
    schedule_id: ScheduleId,
    body: BackfillRequest,
    _: Nothing,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Fire the times of a past range, up to 1000 of them, in order; also of a schedule that is disabled.

    The scheduler does it, one after the other unless the overlap policy says otherwise. Times that have fired already
    fire again.
    """
    accepted = await components(request).backfills.accept(caller, schedule_id, body, idempotency_key)
    return json_response(backfill_document(accepted), HTTPStatus.OK if accepted.again else HTTPStatus.ACCEPTED)


@router.get(
    "/{schedule_id}/upcoming",
    response_model=answers.UpcomingAnswer,
    responses={200: answer("The next times", examples.UPCOMING), **_READ_PROBLEMS},
)
async def list_upcoming(
    request: Request, schedule_id: ScheduleId, query: Annotated[UpcomingQuery, Query()]
) -> Response:
    """List the next times of a schedule, as it stands; none, and the reason, if it does not fire."""
    return json_response(await components(request).schedule_reading.upcoming(schedule_id, query.n))


@router.get(
    "/{schedule_id}/history",
    response_model=answers.HistoryPage,
    responses={200: answer("A page", {"items": examples.HISTORY, "next_cursor": "4711"}), **_READ_PROBLEMS},
)
async def list_history(request: Request, schedule_id: ScheduleId, page: Page) -> Response:
    """List what happened to a schedule, newest first: its firings, what was skipped or missed, and its changes."""
    return json_response(await components(request).schedule_reading.history(schedule_id, page))
