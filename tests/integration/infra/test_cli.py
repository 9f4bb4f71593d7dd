"""The commands, against a small HTTP server and real servers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from infra.cli.app import main
from infra.local.ports import free_port
from tests.integration.infra.fake_gateway import FakeGateway, fake_gateway

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


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Blotter = Callable[..., Ended]


@pytest.fixture
def blotter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Blotter:
    """Run a command in this process, with a BLOTTER_HOME where nothing runs."""
    for name in ("DATABASE_URL", "REDIS_URL", "BLOTTER_URL", "BLOTTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BLOTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BLOTTER_PORT", str(free_port()))

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["blotter", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, blotter: Blotter) -> Iterator[FakeGateway]:
    """A gateway that BLOTTER_URL names."""
    with fake_gateway() as fake:
        monkeypatch.setenv("BLOTTER_URL", fake.url)
        yield fake


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


def test_status_and_down_say_that_nothing_runs(blotter: Blotter) -> None:
    """`status` as an exit code for scripts; stopping what does not run is no failure."""
    assert blotter("status").code == 3
    down = blotter("down")
    assert (down.code, down.out.startswith("No stack runs in ")) == (0, True)


def test_migrate_brings_a_given_database_up_to_date(
    blotter: Blotter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call names the revisions, the second says that there are none."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert blotter("migrate").out.startswith("Applied 0001, ")
    assert blotter("migrate").out == "The schema is up to date.\n"
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM log.blotter_events").fetchone() == (0,)


def test_migrate_without_a_database_says_how_to_name_one(blotter: Blotter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a running stack nor DATABASE_URL; or one that does not answer."""
    assert "set DATABASE_URL" in blotter("migrate").err
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:x@127.0.0.1:{free_port()}/blotter")
    ended = blotter("migrate")
    assert (ended.code, "Correct DATABASE_URL." in ended.err) == (3, True)


def test_rebuild_tells_what_it_has_made(
    blotter: Blotter, migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of an empty log are made anew, and listed with their rows."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    ended = blotter("rebuild")
    assert (ended.code, ended.out.startswith("Rebuilt as of position 0 of the log, in ")) == (0, True)
    assert "workflow_executions" in ended.out


def test_rebuild_without_a_schema_says_what_is_missing(
    blotter: Blotter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, no traceback, with the database's own word and what to check; without a database, how to name one."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    ended = blotter("rebuild")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "Check DATABASE_URL" in ended.err
    monkeypatch.delenv("DATABASE_URL")
    assert "set DATABASE_URL" in blotter("rebuild").err


def test_doctor_repairs_and_tells_what_it_did(
    blotter: Blotter, migrated_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of a run that the log does not know is removed; the table says so."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    client = redis.Redis.from_url(redis_url)
    client.rpush("normal", b'{"headers": {"id": "nobody", "task": "executor.run"}}')
    ended = blotter("doctor", "--repair")
    assert (ended.code, "Repair as of position 0 of the log" in ended.out) == (0, True), ended
    assert re.search(r"messages removed\D* 1 *\n", ended.out)
    assert client.llen("normal") == 0


def test_doctor_repairs_only_servers_that_it_knows(
    blotter: Blotter, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names those that are missing, and says when one does not do what it should."""
    assert "set DATABASE_URL and REDIS_URL" in blotter("doctor", "--repair").err
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:x@127.0.0.1:{free_port()}/blotter")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    ended = blotter("doctor", "--repair")
    assert (ended.code, "start it, or correct REDIS_URL" in ended.err) == (1, True)
    monkeypatch.setenv("REDIS_URL", redis_url)
    ended = blotter("doctor", "--repair")
    assert (ended.code, "start it, or correct DATABASE_URL" in ended.err) == (1, True)


def test_doctor_finds_nothing_wrong_on_a_sound_machine(
    blotter: Blotter, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given servers that answer, a free port, a good Python."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    ended = blotter("doctor")
    assert (ended.code, "BAD" in ended.out) == (0, False)
    assert "ok   PostgreSQL answers" in ended.out
    assert "ok   Redis answers" in ended.out


def test_doctor_names_what_is_wrong_and_the_variable_to_correct(
    blotter: Blotter, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken port, and servers that do not answer; a password in a URL is not shown."""
    monkeypatch.setenv("BLOTTER_PORT", gateway.url.rpartition(":")[2])
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:hidden@127.0.0.1:{free_port()}/blotter")
    monkeypatch.setenv("REDIS_URL", f"redis://:hidden@127.0.0.1:{free_port()}/0")
    ended = blotter("doctor")
    assert (ended.code, ended.err) == (1, "3 of the checks failed: each line marked BAD says what to do.\n")
    assert "set BLOTTER_PORT to a free one" in ended.out
    assert "correct DATABASE_URL" in ended.out
    assert "correct REDIS_URL" in ended.out
    assert "hidden" not in ended.out
