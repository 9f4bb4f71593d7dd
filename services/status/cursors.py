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


class TimeCursor(NamedTuple):
    """The last item of a page of what is sorted by a time and, within it, by its id."""

    at: datetime
    id: UUID


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


def encode_time_cursor(cursor: TimeCursor) -> str:
    """Return the cursor as text that is safe in a URL."""
    return base64.urlsafe_b64encode(f"{cursor.at.isoformat()},{cursor.id}".encode()).decode()


def decode_time_cursor(text: str) -> TimeCursor:
    """Return what `encode_time_cursor` took; raises InvalidInput for anything else."""
    try:
        at, found = base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii").split(",")
        cursor = TimeCursor(datetime.fromisoformat(at), UUID(found))
    except (ValueError, binascii.Error):
        raise _bad_cursor() from None
    if cursor.at.tzinfo is None:
        raise _bad_cursor()
    return cursor


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
