"""From an exception to a record of it: may a retry help, and after how long.

Retryable are TemporaryError, timeouts, connection errors, and the HTTP statuses that say "later": 408, 425, 429 and
5xx (RFC 9110 sections 15.5.9 and 15.6, RFC 8470, RFC 6585), whether httpx, requests or urllib met them. All else is
permanent.
"""

import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError, URLError

from shared.domain.failures import Failure
from shared.retry_after import retry_after
from shared.workflow.errors import PermanentError, StepTimeout, TemporaryError

LATER_STATUSES = frozenset({408, 425, 429})
LONGEST_MESSAGE = 10_000
"""Characters of a message that are kept; the traceback bears all of it."""

_TRANSIENT = {
    "httpx": ("TransportError",),
    "requests": ("Timeout", "ConnectionError"),
}
_HOPELESS = {"httpx": ("UnsupportedProtocol",)}
"""A URL without a scheme stays without one, although httpx counts it among the errors of transport."""


def classify(error: Exception | SystemExit, *, now: datetime | None = None) -> Failure:
    """Return the record of `error`, with its full traceback.

    `type` is the name of its class. `now` (aware, default the clock) is needed only for a `Retry-After` that is a date.
    """
    retryable, retry_after = _verdict(error, now or datetime.now(UTC))
    return Failure(
        type=type(error).__name__,
        message=_message(error)[:LONGEST_MESSAGE],
        retryable=retryable,
        traceback=_storable("".join(traceback.format_exception(error))),
        retry_after_seconds=retry_after.total_seconds() if retry_after is not None else None,
        timed_out=isinstance(error, StepTimeout),
    )


def _verdict(error: BaseException, now: datetime) -> tuple[bool, timedelta | None]:
    """Return whether a retry may help, and how long the other side asks to wait."""
    if isinstance(error, TemporaryError):
        return True, error.retry_after
    if isinstance(error, PermanentError) or _is_one_of(error, _HOPELESS):
        return False, None
    status, wait = _answer(error)
    if status is not None:
        later = status in LATER_STATUSES or 500 <= status <= 599
        return later, retry_after(wait, now) if later else None
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return _verdict(error.reason, now)
    return isinstance(error, TimeoutError | ConnectionError) or _is_one_of(error, _TRANSIENT), None


def _answer(error: BaseException) -> tuple[int | None, str | None]:
    """Return the status and the Retry-After of the HTTP answer that `error` is about, if it is about one."""
    if isinstance(error, HTTPError):
        return error.code, error.headers.get("Retry-After") if error.headers else None
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return status, response.headers.get("Retry-After")
    return None, None


def _is_one_of(error: BaseException, classes: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether `error` is of one of these classes; a library that is not imported has raised nothing."""
    for module, names in classes.items():
        library = sys.modules.get(module)
        kinds = tuple(getattr(library, name) for name in names if hasattr(library, name))
        if isinstance(error, kinds):
            return True
    return False


def _message(error: BaseException) -> str:
    try:
        return _storable(str(error) or repr(error))
    # The text of a user's exception is the user's code, and must not hide the error that it is about.
    except Exception as second:
        return f"{type(error).__name__} (its text cannot be shown: {type(second).__name__})"


def _storable(text: str) -> str:
    """Return `text` without what JSON in PostgreSQL cannot hold: lone surrogates and the character NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
