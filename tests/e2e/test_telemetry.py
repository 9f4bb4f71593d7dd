"""Traces and log lines of tasks, on the whole stack with nothing else installed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from tests.chaos.storm import environment
from tests.e2e.stack import BLOTTER, Stack
from tests.servers import open_folder
from tests.venue.server import KEY, Venue, serving
from tests.waiting import until

SECRET = "feed-secret-0123456789"
KEPT_WITHIN_SECONDS = 10


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """A venue that fills at once."""
    with serving() as venue:
        yield venue


@pytest.fixture(scope="module")
def desk(venue: Venue) -> Iterator[Stack]:
    """A stack that trades there."""
    with open_folder() as folder, Stack(folder / "home", **environment(venue)) as stack:
        yield stack


def spans(stack: Stack, task_id: str, *wanted: str) -> list[dict[str, Any]]:
    """The spans of a task, once those that are wanted are among them: each process keeps its own in its own time."""

    def found() -> list[dict[str, Any]] | None:
        document = stack.http.get(f"/api/tasks/{task_id}/trace").raise_for_status().json()
        names = [span["name"] for span in document["spans"]]
        return document["spans"] if all(names.count(name) >= wanted.count(name) for name in wanted) else None

    return until(found, seconds=KEPT_WITHIN_SECONDS, hint=f"not all of {wanted} are kept") or []


def lines(stack: Stack, task_id: str, wanted: str, **query: Any) -> list[dict[str, Any]]:
    """The log lines of a task, once the wanted one is among them."""

    def found() -> list[dict[str, Any]] | None:
        page = stack.http.get(f"/api/tasks/{task_id}/logs", params=query).raise_for_status().json()
        return page["items"] if any(line["event"] == wanted for line in page["items"]) else None

    return until(found, seconds=KEPT_WITHIN_SECONDS, hint=f"{wanted} is not kept") or []


def path(found: list[dict[str, Any]], span: dict[str, Any]) -> list[str]:
    """The names from the root to a span."""
    by_id = {each["span_id"]: each for each in found}
    names = [span["name"]]
    while (parent := by_id.get(span["parent_span_id"])) is not None:
        span = parent
        names.insert(0, span["name"])
    return names


def named(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The spans of a name."""
    return [span for span in found if span["name"] == name]


def test_one_trace_goes_from_the_clients_request_to_the_order_and_the_projection(desk: Stack) -> None:
    """By the `traceparent` that the client sent; the retry is linked to the attempt before; every record has the id."""
    trace_id, parent = uuid4().hex, uuid4().hex[:16]
    answer = desk.http.post(
        "/api/tasks",
        json={"strategy_id": "talking", "symbols": ["MSFT"], "parameters": {"failures": 1}},
        headers={"traceparent": f"00-{trace_id}-{parent}-01"},
    )
    assert answer.headers["X-Trace-Id"] == trace_id
    task_id = answer.json()["task_id"]
    desk.wait(task_id, "SUCCESS")
    way = ["POST /api/tasks", "execution.submit", "dispatch", "attempt", "step trade", "order.place", "POST"]
    found = spans(desk, task_id, *way, "dispatch", "attempt", "projection")
    (request,) = named(found, "POST /api/tasks")
    assert request["parent_span_id"] == parent
    (post,) = named(found, "POST")
    assert path(found, post) == way
    assert (post["kind"], post["attributes"]["http.response.status_code"]) == ("client", 200)
    (projection,) = named(found, "projection")
    assert path(found, projection)[:4] == way[:4]
    first, second = named(found, "attempt")
    assert [link["span_id"] for link in second["links"]] == [first["span_id"]]
    assert second["links"][0]["attributes"] == {"blotter.reason": "retry_due"}
    assert {span["attributes"]["blotter.attempt"] for span in (first, second)} == {1, 2}
    failed, succeeded = named(found, "step talk")
    assert (failed["status"], succeeded["status"]) == ("error", "unset")
    assert "TemporaryError" in failed["events"][0]["attributes"]["exception.stacktrace"]
    assert {span["service"] for span in found} == {
        "gateway",
        "executor.dispatcher",
        "executor.worker",
        "status.projector",
    }
    assert {event["trace_id"] for event in desk.events(task_id)} == {trace_id}
    logged = lines(desk, task_id, "execution.left")
    assert {line["trace_id"] for line in logged} == {trace_id}


def test_members_of_a_stage_are_in_the_trace_of_their_run(desk: Stack) -> None:
    """Each with its own dispatch, attempt and step."""
    task_id = desk.submit("fanning", "AAPL", "MSFT")
    desk.wait(task_id, "SUCCESS")
    way = ["POST /api/tasks", "execution.submit", "dispatch", "attempt"]
    attempts = sum(topic.endswith(".attempt_started") for topic in desk.types(task_id))
    found = spans(desk, task_id, *way[:2], *way[2:] * attempts, "projection")
    members = [span for span in named(found, "attempt") if "blotter.step" in span["attributes"]]
    assert len(members) > 1
    for member in members:
        assert path(found, member) == way
        step = f"step {member['attributes']['blotter.step']}"
        assert any(span["name"] == step and span["parent_span_id"] == member["span_id"] for span in found)


def test_log_lines_tell_of_retries_and_failures_with_their_tracebacks(desk: Stack) -> None:
    """And what the step said by any logger, each line with the task's step, symbol and attempt."""
    task_id = desk.submit("talking", "MSFT", parameters={"failures": 1, "broken": True})
    desk.wait(task_id, "FAILURE")
    found = lines(desk, task_id, "execution.failed")
    retry = next(line for line in found if line["event"] == "step.retry_scheduled")
    failed = next(line for line in found if line["event"] == "execution.failed")
    said = [line for line in found if line["logger"] == "some.library"]
    assert (retry["step"], retry["symbol"], retry["attempt"], retry["fields"]["retry"]) == ("talk", "MSFT", 1, 1)
    assert (failed["level"], failed["attempt"]) == ("error", 2)
    assert "ValueError: never with" in failed["traceback"]
    assert [(line["step"], line["symbol"], line["attempt"]) for line in said] == [("talk", "MSFT", n) for n in (1, 2)]
    warnings = lines(desk, task_id, "execution.failed", level="warning")
    assert {line["level"] for line in warnings} == {"warning", "error"}
    rest = lines(desk, task_id, "execution.failed", after=retry["cursor"])
    assert rest == found[found.index(retry) + 1 :]


def test_no_secret_is_kept_or_logged(desk: Stack) -> None:
    """Neither a parameter's, nor the venue's, nor the database's password, in spans, lines and logs of processes."""
    task_id = desk.submit("talking", "MSFT", parameters={"api_key": SECRET, "failures": 1})
    desk.wait(task_id, "SUCCESS")
    found = lines(desk, task_id, "execution.left")
    asked = next(line for line in found if line["event"] == "asked")
    assert asked["fields"]["url"] == "https://ann:***@feed.example/bars"
    assert asked["fields"]["parameters"]["api_key"] == "***"
    assert "the key *** is old" in {line["event"] for line in found}
    spans(desk, task_id, "projection")
    password = urlsplit(desk.record.database_url).password
    assert password
    kept = _everything(desk)
    logs = "".join(desk.log_of(process.name) for process in desk.record.processes if process.name not in _SERVERS)
    for secret in (SECRET, KEY.secret, password):
        assert secret not in kept
        assert secret not in logs


def test_the_commands_show_a_waterfall_and_follow_the_lines(desk: Stack) -> None:
    """`--follow` ends with the task."""
    task_id = desk.submit("talking", "MSFT")
    followed = _run(desk, "logs", task_id, "--follow")
    assert "execution.started" in followed
    assert "execution.left" in followed
    spans(desk, task_id, "projection")
    shown = _run(desk, "trace", task_id)
    assert "order.place" in shown
    assert "━" in shown
    assert json.loads(_run(desk, "trace", task_id, "--json"))["spans"]
    assert "the key" in _run(desk, "logs", task_id, "--level", "warning")


_SERVERS = ("postgres", "valkey")


def _everything(stack: Stack) -> str:
    with psycopg.connect(stack.record.database_url) as connection:
        rows = connection.execute("SELECT body FROM telemetry.spans UNION ALL SELECT body FROM telemetry.lines")
        return "".join(body.decode() for (body,) in rows)


def _run(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [BLOTTER, *arguments], env=stack.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
