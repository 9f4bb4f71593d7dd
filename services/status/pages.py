"""A page of a list, as every list of this service answers it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from fastapi import Response

_T = TypeVar("_T")


def page_of(items: Sequence[_T], limit: int, cursor: Callable[[_T], str]) -> tuple[Sequence[_T], str | None]:
    """Return the first `limit` items and, when there are more, the cursor of the last of them."""
    page = items[:limit]
    return page, cursor(page[-1]) if len(items) > limit else None


def json_answer(document: dict[str, Any]) -> Response:
    """Return a document as a response."""
    return Response(msgspec.json.encode(document), media_type="application/json")
