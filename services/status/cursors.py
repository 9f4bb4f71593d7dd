"""Cursors: where a list goes on, opaque to the caller."""

import base64
import binascii
import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.domain.errors import FieldError, InvalidInput

LARGEST_NUMBER = 2**63 - 1
_ORDER_ID = re.compile(r"[\x21-\x7e]{1,128}")


class TaskCursor(NamedTuple):
    """The last task of a page, by what tasks are sorted on."""

    submitted_at: datetime
    task_id: UUID


class ScheduleCursor(NamedTuple):
    """The last schedule of a page, by what schedules are sorted on."""

    created_at: datetime
    schedule_id: UUID


class AlertCursor(NamedTuple):
    """The last alert of a page, by what alerts are sorted on."""

    since: datetime
    alert_id: UUID


class OrderCursor(NamedTuple):
    """The last order of a page, by what orders are sorted on."""

    requested_at: datetime
    client_order_id: str


def encode_order_cursor(cursor: OrderCursor) -> str:
    """Return the cursor as text that is safe in a URL."""
    return base64.urlsafe_b64encode(f"{cursor.requested_at.isoformat()},{cursor.client_order_id}".encode()).decode()


def decode_order_cursor(text: str) -> OrderCursor:
    """Return what `encode_order_cursor` took; raises InvalidInput for anything else."""
    try:
        requested_at, _, name = base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii").partition(",")
        cursor = OrderCursor(datetime.fromisoformat(requested_at), name)
    except (ValueError, binascii.Error):
        raise _bad_cursor() from None
    if cursor.requested_at.tzinfo is None or not _ORDER_ID.fullmatch(name):
        raise _bad_cursor()
    return cursor


def encode_task_cursor(cursor: TaskCursor) -> str:
    """Return the cursor as text that is safe in a URL."""
    return _encode(*cursor)


def decode_task_cursor(text: str) -> TaskCursor:
    """Return what `encode_task_cursor` took; raises InvalidInput for anything else."""
    return TaskCursor(*_decode(text))


def encode_schedule_cursor(cursor: ScheduleCursor) -> str:
    """Return the cursor as text that is safe in a URL."""
    return _encode(*cursor)


def decode_schedule_cursor(text: str) -> ScheduleCursor:
    """Return what `encode_schedule_cursor` took; raises InvalidInput for anything else."""
    return ScheduleCursor(*_decode(text))


def encode_alert_cursor(cursor: AlertCursor) -> str:
    """Return the cursor as text that is safe in a URL."""
    return _encode(*cursor)


def decode_alert_cursor(text: str) -> AlertCursor:
    """Return what `encode_alert_cursor` took; raises InvalidInput for anything else."""
    return AlertCursor(*_decode(text))


def _encode(moment: datetime, found: UUID) -> str:
    return base64.urlsafe_b64encode(f"{moment.isoformat()},{found}".encode()).decode()


def _decode(text: str) -> tuple[datetime, UUID]:
    try:
        moment, found = base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii").split(",")
        decoded = datetime.fromisoformat(moment), UUID(found)
    except (ValueError, binascii.Error):
        raise _bad_cursor() from None
    if decoded[0].tzinfo is None:
        raise _bad_cursor()
    return decoded


def decode_number_cursor(text: str) -> int:
    """Return a cursor that counts (a step's index, an event's version); raises InvalidInput unless it does."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_NUMBER))) or int(text) > LARGEST_NUMBER:
        raise _bad_cursor()
    return int(text)


def _bad_cursor() -> InvalidInput:
    return InvalidInput(
        "The cursor is not one that this list has given out. Use next_cursor of the page before, or none.",
        [FieldError("cursor", "not a cursor of this list")],
    )
