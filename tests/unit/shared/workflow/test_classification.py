"""Which errors are tried again, after how long, and what their record keeps."""

import urllib.error
from datetime import UTC, datetime, timedelta
from email.message import Message

import httpx
import msgspec
import pytest
import requests

from shared.domain.failures import Failure
from shared.workflow import PermanentError, TemporaryError
from shared.workflow.classification import LONGEST_MESSAGE, classify

NOW = datetime(2024, 1, 31, 12, 0, 0, tzinfo=UTC)
REQUEST = httpx.Request("GET", "https://example.test/bars")


def refused(status: int, **headers: str) -> httpx.HTTPStatusError:
    """Return what `raise_for_status` raises."""
    response = httpx.Response(status, headers=headers, request=REQUEST)
    return httpx.HTTPStatusError(f"{status}", request=REQUEST, response=response)


def refused_by_urllib(status: int, wait: str | None = None) -> urllib.error.HTTPError:
    """Return what urllib raises."""
    headers = Message()
    if wait:
        headers["Retry-After"] = wait
    return urllib.error.HTTPError("https://example.test", status, "no", headers, None)


class DeskError(TemporaryError):
    """A user's own temporary error."""


@pytest.mark.parametrize(
    "error",
    [
        TemporaryError("busy"),
        DeskError("busy"),
        TimeoutError("late"),
        ConnectionError("gone"),
        ConnectionResetError("gone"),
        BrokenPipeError("gone"),
        httpx.ConnectTimeout("late"),
        httpx.PoolTimeout("late"),
        httpx.ConnectError("gone"),
        httpx.RemoteProtocolError("gone"),
        *(refused(status) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        refused_by_urllib(503),
        urllib.error.URLError(ConnectionRefusedError("gone")),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    """SDK.md: temporary errors, timeouts, connection errors, HTTP 408, 425, 429 and 5xx."""
    assert classify(error, now=NOW).retryable


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("no"),
        ValueError("no"),
        KeyError("close"),
        ZeroDivisionError(),
        FileNotFoundError("bars.csv"),
        PermissionError("no"),
        MemoryError(),
        AssertionError(),
        httpx.UnsupportedProtocol("the URL has no scheme"),
        httpx.InvalidURL("no"),
        *(refused(status) for status in (301, 400, 401, 403, 404, 409, 422)),
        refused_by_urllib(404),
        urllib.error.URLError("unknown url type"),
    ],
    ids=repr,
)
def test_everything_else_is_permanent(error: Exception) -> None:
    """Trying again would do the same again."""
    failure = classify(error, now=NOW)
    assert not failure.retryable
    assert failure.retry_after_seconds is None


def test_a_permanent_error_wins_over_what_else_it_is() -> None:
    """Its author has decided."""

    class Blocked(PermanentError, ConnectionError):
        pass

    assert not classify(Blocked("the account is blocked")).retryable


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (TemporaryError("busy", retry_after=7.5), 7.5),
        (TemporaryError("busy", retry_after=timedelta(minutes=1)), 60.0),
        (TemporaryError("busy"), None),
        (refused(429, **{"Retry-After": "30"}), 30.0),
        (refused(503, **{"Retry-After": "Wed, 31 Jan 2024 12:01:30 GMT"}), 90.0),
        (refused(404, **{"Retry-After": "30"}), None),
        (refused_by_urllib(429, "5"), 5.0),
    ],
)
def test_the_other_side_may_ask_for_patience(error: Exception, seconds: float | None) -> None:
    """`Retry-After` is honoured, as seconds and as a date."""
    assert classify(error, now=NOW).retry_after_seconds == seconds


def test_the_record_has_the_class_the_message_and_the_whole_traceback() -> None:
    """SPEC R5.2: full traceback in the record, with the cause."""
    try:
        try:
            raise KeyError("close")
        except KeyError as error:
            raise ValueError("no such column") from error
    except ValueError as error:
        failure = classify(error)
    assert (failure.type, failure.message) == ("ValueError", "no such column")
    assert "KeyError: 'close'" in failure.traceback
    assert "direct cause" in failure.traceback
    assert failure.traceback.endswith("ValueError: no such column\n")


class Mute(Exception):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("\ud800 and \x00"), "\\ud800 and \\x00"),
        (ValueError(), "ValueError()"),
        (ValueError("x" * 20_000), "x" * LONGEST_MESSAGE),
        (Mute(), "Mute (its text cannot be shown: RuntimeError)"),
    ],
    ids=["unstorable characters", "no text", "endless text", "text that raises"],
)
def test_every_error_can_be_recorded(error: Exception, message: str) -> None:
    """The record of an error must not fail, least of all because of the error."""
    failure = classify(error)
    assert failure.message == message
    assert msgspec.json.decode(msgspec.json.encode(failure), type=Failure) == failure
    assert "\x00" not in failure.traceback


def test_requests_is_understood_without_being_imported() -> None:
    """Many brokers' own clients use it; its errors are of no built-in kind."""
    assert classify(requests.exceptions.ReadTimeout("late")).retryable
    assert classify(requests.exceptions.ConnectionError("gone")).retryable
    assert not classify(requests.exceptions.MissingSchema("no")).retryable
    response = requests.Response()
    response.status_code = 429
    response.headers["Retry-After"] = "3"
    failure = classify(requests.exceptions.HTTPError("busy", response=response))
    assert (failure.retryable, failure.retry_after_seconds) == (True, 3.0)
