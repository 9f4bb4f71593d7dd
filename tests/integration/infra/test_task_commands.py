"""The commands about tasks, against a small HTTP server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway

RUNNING: dict[str, Any] = {
    "task_id": "t-1",
    "strategy_id": "sma-crossover",
    "symbols": ["MSFT"],
    "state": "STARTED",
    "status": "running",
    "reason": None,
    "error": None,
    "result": None,
    "submitted_at": "2024-01-01T00:00:00Z",
    "started_at": "2024-01-01T00:00:00.150000Z",
    "finished_at": None,
    "progress": {
        "current_step": "bars",
        "completed_steps": 0,
        "total_steps": 4,
        "current_symbol": "MSFT",
        "completed_symbols": [],
        "total_symbols": 1,
        "fraction": 0.0,
    },
}
ENDED = RUNNING | {
    "state": "SUCCESS",
    "status": "completed",
    "finished_at": "2024-01-01T00:00:01Z",
    "result": {"decisions": [], "orders": [], "errors": []},
}
PROBLEM = {
    "type": "urn:blotter:problem:invalid_request",
    "title": "Invalid request",
    "status": 422,
    "detail": "Correct the fields named in errors and send the request again.",
    "code": "invalid_request",
    "errors": [{"field": "symbols.0", "message": "String should match pattern"}],
}


def test_submit_sends_the_task_and_prints_its_id(gateway: FakeGateway, blotter: Blotter) -> None:
    """The body is that of the contract; without --watch nothing else is asked."""
    gateway.on("POST /api/tasks", {"task_id": "t-1"}, status=202)
    ended = blotter("submit", "sma-crossover", "MSFT", "AAPL", "--priority", "high", "--parameters", '{"fast": 10}')
    assert (ended.code, ended.out.strip()) == (0, "t-1")
    assert gateway.requests == [
        (
            "POST /api/tasks",
            {
                "strategy_id": "sma-crossover",
                "symbols": ["MSFT", "AAPL"],
                "priority": "high",
                "parameters": {"fast": 10},
            },
            None,
        )
    ]


def test_a_key_of_the_environment_is_sent(
    gateway: FakeGateway, blotter: Blotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BLOTTER_API_KEY becomes the bearer token."""
    monkeypatch.setenv("BLOTTER_API_KEY", "secret")
    gateway.on("POST /api/tasks", {"task_id": "t-1"}, status=202)
    blotter("submit", "sma-crossover", "MSFT")
    assert gateway.requests[0][2] == "Bearer secret"


def test_watch_tells_each_change_once_and_reports_at_the_end(gateway: FakeGateway, blotter: Blotter) -> None:
    """Piped, a line a change; then the outcome with all pages of steps."""
    gateway.on("POST /api/tasks", {"task_id": "t-1"}, status=202)
    gateway.on("GET /api/tasks/t-1", RUNNING, RUNNING, ENDED)
    step = {"step": "bars", "symbol": "MSFT", "duration_seconds": 0.4, "state": "completed"}
    gateway.on("GET /api/tasks/t-1/steps", {"items": [step], "next_cursor": "c"})
    gateway.on("GET /api/tasks/t-1/steps?cursor=c", {"items": [step | {"step": "trade"}], "next_cursor": None})
    ended = blotter("submit", "sma-crossover", "MSFT", "--watch")
    assert ended.code == 0
    assert ended.out.count("STARTED; 0 of 4 steps done; at bars MSFT") == 1
    assert "Decisions: none" in ended.out
    assert "trade" in ended.out
    assert "\x1b" not in ended.out


def test_a_run_that_failed_is_exit_code_1(gateway: FakeGateway, blotter: Blotter) -> None:
    """The report is printed all the same."""
    error = {"type": "PermanentError", "message": "no cash", "step": "trade", "symbol": None}
    failed = ENDED | {"state": "FAILURE", "status": "failed", "result": None, "error": error}
    gateway.on("POST /api/tasks", {"task_id": "t-1"}, status=202)
    gateway.on("GET /api/tasks/t-1", failed)
    gateway.on("GET /api/tasks/t-1/steps", {"items": [], "next_cursor": None})
    ended = blotter("submit", "sma-crossover", "MSFT", "--watch")
    assert (ended.code, ended.err) == (1, "The task ended as FAILURE.\n")
    assert "PermanentError in trade: no cash" in ended.out


def test_events_tells_the_whole_history_page_after_page(gateway: FakeGateway, blotter: Blotter) -> None:
    """In a table, oldest first, or as one document a line."""
    first, second = (
        {"position": position, "at": "2026-01-30T14:30:00Z", "type": what, "actor": "user:ada", "data": {}}
        for position, what in ((7, "execution.submitted"), (9, "execution.succeeded"))
    )
    gateway.on("GET /api/tasks/t-1/events?limit=500", {"items": [first], "next_cursor": "7"})
    gateway.on("GET /api/tasks/t-1/events?limit=500&cursor=7", {"items": [second], "next_cursor": None})
    shown = [line.split() for line in blotter("events", "t-1").out.splitlines() if "execution." in line]
    assert shown == [[str(each[name]) for name in ("position", "at", "type", "actor")] for each in (first, second)]
    assert [json.loads(line) for line in blotter("events", "t-1", "--json").out.splitlines()] == [first, second]


def test_show_as_json_is_what_the_gateway_said(gateway: FakeGateway, blotter: Blotter) -> None:
    """For programs: the answer itself, and nothing else on standard output."""
    gateway.on("GET /api/tasks/t-1", RUNNING)
    assert json.loads(blotter("show", "t-1", "--json").out) == RUNNING


def test_a_refusal_is_one_line_with_the_fields_and_exit_code_2(gateway: FakeGateway, blotter: Blotter) -> None:
    """The problem document's title, detail and errors."""
    gateway.on("POST /api/tasks", PROBLEM, status=422)
    ended = blotter("submit", "sma-crossover", "msft")
    assert ended.code == 2
    assert ended.err == (
        "Invalid request: Correct the fields named in errors and send the request again. "
        "(symbols.0: String should match pattern)\n"
    )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"state": "REVOKED", "was": "queued", "cancelling": False}, "t-1: REVOKED, was queued"),
        ({"state": "STARTED", "was": "running", "cancelling": True}, "t-1: STARTED, was running, is told to stop"),
    ],
)
def test_cancel_tells_what_the_task_was(
    gateway: FakeGateway, blotter: Blotter, answer: dict[str, Any], says: str
) -> None:
    """One that runs is stopped by its worker."""
    gateway.on("DELETE /api/tasks/t-1?reason=wrong+prices", answer)
    ended = blotter("cancel", "t-1", "--reason", "wrong prices")
    assert (ended.code, ended.out.strip()) == (0, says)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (
            ("--filter", "status=queued", "--filter", "label=desk:eu", "--filter", "label=run:a=b"),
            {"filter": {"status": "queued", "label": ["desk:eu", "run:a=b"]}},
        ),
        (("--all", "--reason", "closed"), {"filter": {}, "all": True, "reason": "closed"}),
    ],
)
def test_cancel_by_filter_counts_what_matched(
    gateway: FakeGateway, blotter: Blotter, arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    """Conditions are sent as they are given; the gateway knows which there are."""
    gateway.on("POST /api/tasks/cancel", {"cancelled": 10, "cancelling": 2, "finished": 3}, status=202)
    ended = blotter("cancel", *arguments)
    assert (ended.code, ended.out.strip()) == (0, "10 cancelled, 2 told to stop; 3 had finished before")
    assert [sent for _, sent, _ in gateway.requests] == [body]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("t-1", "--all"),
        ("t-1", "--filter", "status=queued"),
        ("--all", "--filter", "status=queued"),
        ("--filter", "queued"),
        ("--filter", "symbol=A", "--filter", "symbol=B"),
    ],
)
def test_cancel_sends_nothing_when_it_is_not_clear_what_is_meant(
    gateway: FakeGateway, blotter: Blotter, arguments: tuple[str, ...]
) -> None:
    """One of an id, a filter and --all, each condition once."""
    ended = blotter("cancel", *arguments)
    assert (ended.code, gateway.requests) == (2, [])
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("RETRY", "its retry is due"),
        ("PENDING", "goes on from where it ended"),
        ("STARTED", "its branches that wait for a retry go on at once"),
    ],
)
def test_retry_tells_how_the_task_goes_on(gateway: FakeGateway, blotter: Blotter, state: str, says: str) -> None:
    """Only a task that had ended is PENDING after it, and only one at a join STARTED."""
    gateway.on("POST /api/tasks/t-1/retry", RUNNING | {"state": state}, status=202)
    ended = blotter("retry", "t-1")
    assert (ended.code, ended.out.strip()) == (0, f"t-1: {state}; {says}")


def test_retry_of_a_task_that_has_succeeded_is_refused_with_what_to_do(gateway: FakeGateway, blotter: Blotter) -> None:
    """The gateway's own words."""
    problem = {"title": "Task already finished", "detail": "To run it once more, use POST /api/tasks/t-1/rerun."}
    gateway.on("POST /api/tasks/t-1/retry", problem, status=409)
    ended = blotter("retry", "t-1")
    assert (ended.code, ended.err) == (2, f"Task already finished: {problem['detail']}\n")


def test_rerun_says_what_is_to_be_different_and_prints_the_new_id(gateway: FakeGateway, blotter: Blotter) -> None:
    """Only what was given is sent."""
    gateway.on("POST /api/tasks/t-1/rerun", {"task_id": "t-2"}, status=202)
    plain = blotter("rerun", "t-1")
    changed = blotter("rerun", "t-1", "--from-step", "decide", "--priority", "low", "--parameters", '{"fast": 5}')
    assert [(ended.code, ended.out.strip()) for ended in (plain, changed)] == [(0, "t-2")] * 2
    bodies = [body for _, body, _ in gateway.requests]
    assert bodies == [{}, {"from_step": "decide", "parameters": {"fast": 5}, "priority": "low"}]


def test_rerun_follows_the_new_task_to_its_end(gateway: FakeGateway, blotter: Blotter) -> None:
    """As submit does, with its exit code."""
    gateway.on("POST /api/tasks/t-1/rerun", {"task_id": "t-2"}, status=202)
    gateway.on("GET /api/tasks/t-2", RUNNING, ENDED | {"task_id": "t-2", "state": "FAILURE", "result": None})
    gateway.on("GET /api/tasks/t-2/steps", {"items": [], "next_cursor": None})
    ended = blotter("rerun", "t-1", "--watch")
    assert (ended.code, ended.err) == (1, "The task ended as FAILURE.\n")
    assert ended.out.startswith("t-2\nSTARTED; 0 of 4 steps done")


@pytest.mark.parametrize("arguments", [("--parameters", "[1]"), ("--priority", "urgent"), ()])
def test_rerun_sends_nothing_when_it_is_not_clear_what_is_meant(
    gateway: FakeGateway, blotter: Blotter, arguments: tuple[str, ...]
) -> None:
    """Parameters are an object, there are three levels, and a task has an id."""
    ended = blotter("rerun", *(("t-1", *arguments) if arguments else ()))
    assert (ended.code, gateway.requests) == (2, [])


@pytest.mark.parametrize("parameters", ["{", "[1]", "1", "null"], ids=["no json", "list", "number", "null"])
def test_parameters_that_are_no_object_are_refused_before_anything_is_sent(
    gateway: FakeGateway, blotter: Blotter, parameters: str
) -> None:
    """The line shows what an object looks like."""
    ended = blotter("submit", "sma-crossover", "MSFT", "--parameters", parameters)
    assert ended.code == 2
    assert '{"fast": 10}' in ended.err
    assert gateway.requests == []


@pytest.mark.parametrize("command", [["submit"], ["submit", "only"], ["shwo"], ["submit", "s", "A", "--priority", "x"]])
def test_wrong_usage_is_exit_code_2(blotter: Blotter, command: list[str]) -> None:
    """As the shell's own conventions have it."""
    assert blotter(*command).code == 2


def test_nobody_there_is_exit_code_3_and_says_how_to_start(blotter: Blotter) -> None:
    """The default address is that of BLOTTER_PORT, where nothing listens."""
    ended = blotter("submit", "sma-crossover", "MSFT")
    assert ended.code == 3
    assert "start the stack with `blotter up`" in ended.err


@pytest.mark.parametrize(("status", "body"), [(502, "<html>bad gateway</html>"), (200, "hello"), (200, "[]")])
def test_somebody_else_at_the_address_is_exit_code_3(
    gateway: FakeGateway, blotter: Blotter, status: int, body: str
) -> None:
    """A proxy's error page or another program: the line names the variable to correct."""
    gateway.on("POST /api/tasks", body, status=status)
    ended = blotter("submit", "sma-crossover", "MSFT")
    assert ended.code == 3
    assert "correct --url or BLOTTER_URL" in ended.err


def test_an_unavailable_gateway_is_exit_code_3(gateway: FakeGateway, blotter: Blotter) -> None:
    """A 503 with a problem document keeps its words."""
    gateway.on("GET /api/tasks/t-1", {"title": "Unavailable", "detail": "The log is away."}, status=503)
    ended = blotter("show", "t-1")
    assert (ended.code, ended.err) == (3, "Unavailable: The log is away.\n")
