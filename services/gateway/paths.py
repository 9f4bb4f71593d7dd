"""The ids in paths: what no id can be is not found either, and a word of another route is not taken for one."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, HTTPException, Path, Request

from shared.domain.alert import alert_not_found
from shared.domain.errors import NotFound
from shared.domain.priority import Priority
from shared.log.runs import task_not_found
from shared.log.schedules import schedule_not_found

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONGEST_ECHO = 60
_LEVEL = Path(json_schema_extra={"enum": [str(level) for level in Priority]}, description="a level")
_ALERT = Path(json_schema_extra={"format": "uuid"}, description="as GET /api/alerts lists it")
_ID = Path(json_schema_extra={"format": "uuid"}, description="what POST answered")
_DELIVERY = Path(json_schema_extra={"format": "uuid"}, description="as the list of deliveries names it")


async def _task_id(request: Request, task_id: Annotated[str, _ID]) -> UUID:
    return _id_of(request, task_id, task_not_found)


async def _schedule_id(request: Request, schedule_id: Annotated[str, _ID]) -> UUID:
    return _id_of(request, schedule_id, schedule_not_found)


async def _alert_id(request: Request, alert_id: Annotated[str, _ALERT]) -> UUID:
    return _id_of(request, alert_id, alert_not_found)


async def _webhook_id(request: Request, webhook_id: Annotated[str, _ID]) -> UUID:
    return _id_of(request, webhook_id, webhook_not_found)


async def _delivery_id(request: Request, delivery_id: Annotated[str, _DELIVERY]) -> UUID:
    return _id_of(request, delivery_id, delivery_not_found)


async def _level(priority: Annotated[str, _LEVEL]) -> Priority:
    if priority not in list(Priority):
        raise NotFound("queue", f"There is no queue {priority[:_LONGEST_ECHO]!r}: name one of {', '.join(Priority)}.")
    return Priority(priority)


TaskId = Annotated[UUID, Depends(_task_id)]
AlertId = Annotated[UUID, Depends(_alert_id)]
ScheduleId = Annotated[UUID, Depends(_schedule_id)]
WebhookId = Annotated[UUID, Depends(_webhook_id)]
DeliveryId = Annotated[UUID, Depends(_delivery_id)]
Level = Annotated[Priority, Depends(_level)]


def webhook_not_found(webhook_id: UUID | str) -> NotFound:
    """Return the error for a webhook that the log does not know."""
    return NotFound("webhook", f"There is no webhook {webhook_id}; check the id, or list yours with GET /api/webhooks.")


def delivery_not_found(delivery_id: UUID | str) -> NotFound:
    """Return the error for a delivery that this webhook does not have."""
    return NotFound(
        "delivery",
        f"This webhook has no delivery {delivery_id}; its list names those of the last 30 days.",
    )


def _id_of(request: Request, text: str, not_found: Callable[[str], NotFound]) -> UUID:
    if _UUID.fullmatch(text):
        return UUID(text)
    if request.url.path in request.app.openapi()["paths"]:  # a word such as `batch`, with a method it lacks
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
    raise not_found(repr(text[:_LONGEST_ECHO]))
