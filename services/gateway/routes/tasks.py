"""Tasks: one task is one workflow execution."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import answers, examples
from services.gateway.authentication import Trader
from services.gateway.bodies import BatchRequest, RerunRequest, TaskRequest
from services.gateway.components import components
from services.gateway.documents import (
    acceptance_document,
    bulk_cancel_document,
    cancel_document,
    json_response,
)
from services.gateway.idempotency import IdempotencyKey
from services.gateway.openapi import LOCATION, USUAL_PROBLEMS, answer, problems, refusal
from services.gateway.paths import TaskId
from services.gateway.queries import CancelQuery, MomentQuery, Nothing, Page, TaskQuery
from services.gateway.selection import CancelRequest
from services.gateway.submissions import Accepted

router = APIRouter(prefix="/api/tasks", tags=["tasks"])

_READ_PROBLEMS = USUAL_PROBLEMS | problems(HTTPStatus.NOT_FOUND)
_CANCEL_PROBLEMS = _READ_PROBLEMS | problems(HTTPStatus.CONFLICT)
_SUBMIT_PROBLEMS = _CANCEL_PROBLEMS | problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_BULK_PROBLEMS = USUAL_PROBLEMS | problems(HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_RETRY_PROBLEMS = _READ_PROBLEMS | refusal(
    "not_waiting_for_retry",
    "Task 5b0f... is running and waits for no retry; only one in state RETRY, FAILURE or REVOKED can go on at once.",
)
_RERUN_PROBLEMS = _SUBMIT_PROBLEMS | refusal(
    "definition_changed",
    "Strategy 'sma-crossover' has changed since task 5b0f... was submitted, and the outputs of its steps may not fit "
    "any more. Rerun it without from_step.",
)
_BATCH = {"items": [examples.ACCEPTANCE]}


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.Acceptance,
    responses={
        200: answer("Accepted before, under this key", examples.ACCEPTANCE, headers=LOCATION, model=answers.Acceptance),
        202: answer("Durably recorded", examples.ACCEPTANCE, headers=LOCATION),
        **_SUBMIT_PROBLEMS,
    },
)
async def submit_task(
    request: Request, caller: Trader, body: TaskRequest, _: Nothing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Submit one task: it is checked, durably recorded, and runs as soon as a worker is free."""
    accepted = await components(request).submissions.submit(caller, body, idempotency_key)
    return _accepted_response(accepted)


@router.post(
    "/batch",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.BatchAcceptance,
    responses={
        200: answer("Accepted before, under this key", _BATCH, model=answers.BatchAcceptance),
        202: answer("Durably recorded", _BATCH),
        **_SUBMIT_PROBLEMS,
    },
)
async def submit_batch(
    request: Request, caller: Trader, body: BatchRequest, _: Nothing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Submit up to 1000 tasks: all of them, or none when one of them is wrong."""
    accepted = await components(request).submissions.submit_batch(caller, body, idempotency_key)
    items = [acceptance_document(execution) for execution in accepted.executions]
    return json_response({"items": items}, _accepted_status(accepted))


@router.post(
    "/cancel",
    response_model=answers.BulkCancelAnswer,
    responses={
        200: answer("All that matched were waiting, or none did: they are cancelled", examples.BULK_CANCELLED),
        202: answer(
            "Some were running: their workers are told", examples.BULK_CANCELLING, model=answers.BulkCancelAnswer
        ),
        **_BULK_PROBLEMS,
    },
)
async def cancel_tasks(request: Request, caller: Trader, body: CancelRequest, _: Nothing) -> Response:
    """Cancel every task that meets all conditions of a filter; traders cancel their own, admins anybody's.

    All that was submitted before is considered, and each task is judged by its record: one that has moved on, and meets
    the conditions no more, is left alone. Sending it again is safe.
    """
    done = await components(request).bulk_cancellations.cancel(caller, body)
    return json_response(bulk_cancel_document(done), HTTPStatus.ACCEPTED if done.cancelling else HTTPStatus.OK)


@router.get(
    "",
    response_model=answers.TaskPage,
    responses={200: answer("A page", {"items": [examples.TASK], "next_cursor": None}), **USUAL_PROBLEMS},
)
async def list_tasks(request: Request, query: Annotated[TaskQuery, Query()]) -> Response:
    """List tasks, newest first."""
    return json_response(await components(request).reading.tasks(query))


@router.get(
    "/{task_id}",
    response_model=answers.Task,
    responses={200: answer("The task", examples.TASK), **_READ_PROBLEMS},
)
async def read_task(request: Request, task_id: TaskId, query: Annotated[MomentQuery, Query()]) -> Response:
    """Tell where one task stands, or stood. An id that no task can have is not found either."""
    if query.as_of is not None:
        return json_response(await components(request).past.task(task_id, query.as_of))
    return json_response(await components(request).reading.task(task_id))


@router.get(
    "/{task_id}/steps",
    response_model=answers.StepPage,
    responses={200: answer("A page", {"items": [examples.STEP], "next_cursor": None}), **_READ_PROBLEMS},
)
async def list_steps(request: Request, task_id: TaskId, page: Page) -> Response:
    """List the steps of a task in the order in which they run; an output that is no JSON is its reference."""
    return json_response(await components(request).reading.steps(task_id, page))


@router.get(
    "/{task_id}/events",
    response_model=answers.EventPage,
    responses={200: answer("A page", {"items": [examples.EVENT], "next_cursor": "2"}), **_READ_PROBLEMS},
)
async def list_events(request: Request, task_id: TaskId, page: Page) -> Response:
    """List what happened to a task, oldest first."""
    return json_response(await components(request).reading.events(task_id, page))


@router.get(
    "/{task_id}/orders",
    response_model=answers.OrderPage,
    responses={200: answer("A page", {"items": [examples.ORDER], "next_cursor": None}), **_READ_PROBLEMS},
)
async def list_task_orders(request: Request, task_id: TaskId, page: Page) -> Response:
    """List the orders of a task in the order in which they were requested."""
    return json_response(await components(request).reading.task_orders(task_id, page))


@router.delete(
    "/{task_id}",
    response_model=answers.CancelAnswer,
    responses={
        200: answer("It was waiting, or cancelled already: it is cancelled", examples.CANCELLED),
        202: answer("It was running: its worker is told", examples.CANCELLING, model=answers.CancelAnswer),
        **_CANCEL_PROBLEMS,
    },
)
async def cancel_task(
    request: Request, caller: Trader, task_id: TaskId, query: Annotated[CancelQuery, Query()]
) -> Response:
    """Cancel a task. Its record stays; traders may cancel their own, admins any."""
    cancellation = await components(request).cancellations.cancel(caller, task_id, query.reason)
    status = HTTPStatus.OK if cancellation.ended else HTTPStatus.ACCEPTED
    return json_response(cancel_document(cancellation), status)


@router.post(
    "/{task_id}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.Task,
    responses={
        202: answer("It goes on: PENDING if it had ended, STARTED if branches waited, else RETRY", examples.RETRIED),
        **_RETRY_PROBLEMS,
    },
)
async def retry_task(request: Request, caller: Trader, task_id: TaskId, _: Nothing) -> Response:
    """Let a task go on at once that waits for a retry, or from where it ended if it has failed or was cancelled.

    Nothing that is done is done again. A task that had ended keeps its id; its result, its error, its retries and its
    time at work begin anew. Doing it again changes nothing: a retry that is due stays so (202), and a task that waits
    since it had ended is refused (409), as is one that ended so long ago that its history is in an archive.
    """
    execution = await components(request).retries.retry(caller, task_id)
    return json_response(await components(request).reading.document(execution), HTTPStatus.ACCEPTED)


@router.post(
    "/{task_id}/rerun",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.Acceptance,
    responses={
        200: answer("Accepted before, under this key", examples.ACCEPTANCE, headers=LOCATION, model=answers.Acceptance),
        202: answer("Durably recorded, as a new task", examples.ACCEPTANCE, headers=LOCATION),
        **_RERUN_PROBLEMS,
    },
)
async def rerun_task(
    request: Request,
    caller: Trader,
    task_id: TaskId,
    body: RerunRequest,
    _: Nothing,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run a task once more as a new one, whose `parent_task_id` it is: from its start, or from a step on.

    It has the symbols, labels, retries and times of the first one, belongs to the caller, and follows the strategy as
    it is now. Traders rerun their own, admins any; also one that runs.

    With `from_step` the task must have ended, by the definition of now, with all steps before that one done for every
    symbol: what they gave is taken over, failures that were collected and artifacts as well. Orders never are: a rerun
    from a step that trades, or from before it, places NEW orders.
    """
    accepted = await components(request).reruns.rerun(caller, task_id, body, idempotency_key)
    return _accepted_response(accepted)


def _accepted_response(accepted: Accepted) -> Response:
    document = acceptance_document(accepted.executions[0])
    return json_response(document, _accepted_status(accepted), {"Location": f"/api/tasks/{document['task_id']}"})


def _accepted_status(accepted: Accepted) -> HTTPStatus:
    return HTTPStatus.OK if accepted.again else HTTPStatus.ACCEPTED
