"""The commands about schedules, against a small HTTP server that answers with the gateway's own examples."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from services.gateway.schedule_examples import (
    BACKFILL,
    BACKFILL_ID,
    DELETED,
    DISABLED,
    HISTORY,
    PREVIEW,
    SCHEDULE,
    SCHEDULE_ID,
    TRIGGERED,
    UPCOMING,
)
from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway

LIST = "GET /api/schedules?limit=500"
ONE = f"/api/schedules/{SCHEDULE_ID}"
OTHER_ID = "9a1f3c1e-9d1f-4a57-8f0e-2f6f1c1d7a10"
NEXT = "Mon 2026-02-02 09:35:00 EST   2026-02-02 14:35:00"
CREATE = ("create", "open-plus-5", "sma-crossover", "AAPL", "MSFT")


@pytest.fixture
def schedule(gateway: FakeGateway, blotter: Blotter) -> Blotter:
    """Run `blotter schedule`; one schedule is listed, by the name open-plus-5."""
    gateway.on(LIST, {"items": [SCHEDULE], "next_cursor": None})
    return lambda *arguments: blotter("schedule", *arguments)


def sent(gateway: FakeGateway) -> list[tuple[str, Any]]:
    """The requests and their bodies, without the look-up of names."""
    return [(request, body) for request, body, _ in gateway.requests if request != LIST]


def test_create_sends_only_what_is_given_and_prints_the_schedule_with_its_next_times(
    gateway: FakeGateway, schedule: Blotter
) -> None:
    """Everything else is the gateway's choice."""
    gateway.on("POST /api/schedules", SCHEDULE, status=201)
    gateway.on(f"GET {ONE}/upcoming?n=5", UPCOMING)
    ended = schedule(
        *CREATE, "--session", "open+5m", "--calendar", "XNYS", "--overlap", "buffer_one", "--max-runs", "20"
    )
    assert (ended.code, ended.err) == (0, "")
    assert sent(gateway)[0] == (
        "POST /api/schedules",
        {
            "name": "open-plus-5",
            "strategy_id": "sma-crossover",
            "symbols": ["AAPL", "MSFT"],
            "when": {"session": {"event": "open", "offset_seconds": 300}},
            "calendar": "XNYS",
            "overlap": "buffer_one",
            "max_runs": 20,
        },
    )
    assert ended.out.startswith(f"Schedule open-plus-5: {SCHEDULE_ID}\n")
    assert NEXT in ended.out
    assert "\x1b" not in ended.out


def test_create_takes_flags(gateway: FakeGateway, schedule: Blotter) -> None:
    """What is not given stays unsaid, so that a flag is the only way to say it."""
    gateway.on("POST /api/schedules", SCHEDULE, status=201)
    schedule(*CREATE, "--every", "4h", "--json")
    schedule(*CREATE, "--every", "4h", "--json", "--disabled", "--pause-on-failure")
    plain, flagged = (body for _, body in sent(gateway))
    assert flagged == plain | {"enabled": False, "pause_on_failure": True}


def test_create_as_json_is_what_the_gateway_said(gateway: FakeGateway, schedule: Blotter) -> None:
    """And nothing else is asked."""
    gateway.on("POST /api/schedules", SCHEDULE, status=201)
    ended = schedule(*CREATE, "--cron", "35 9 * * mon-fri", "--json")
    assert json.loads(ended.out) == SCHEDULE
    assert len(gateway.requests) == 1


def test_preview_shows_the_next_times_and_saves_nothing(gateway: FakeGateway, schedule: Blotter) -> None:
    """The same body, to another address."""
    gateway.on("POST /api/schedules/preview", PREVIEW)
    ended = schedule(*CREATE, "--cron", "35 9 * * mon-fri", "--timezone", "America/New_York", "--preview")
    assert (ended.code, ended.out.count("EST")) == (0, 2)
    as_json = schedule(*CREATE, "--cron", "35 9 * * mon-fri", "--timezone", "America/New_York", "--preview", "--json")
    assert json.loads(as_json.out) == PREVIEW
    assert {request for request, _ in sent(gateway)} == {"POST /api/schedules/preview"}


def test_a_refused_preview_names_the_fields(gateway: FakeGateway, schedule: Blotter) -> None:
    """The gateway's own words, in one line."""
    problem = {
        "title": "Invalid request",
        "detail": "Correct the fields.",
        "errors": [{"field": "when.cron", "message": "has no fifth field, such as 35 9 * * mon-fri"}],
    }
    gateway.on("POST /api/schedules/preview", problem, status=422)
    ended = schedule(*CREATE, "--cron", "35 9 * *", "--preview")
    assert (ended.code, ended.err) == (
        2,
        "Invalid request: Correct the fields. (when.cron: has no fifth field, such as 35 9 * * mon-fri)\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        CREATE,
        (*CREATE, "--cron", "@daily", "--every", "4h"),
        (*CREATE, "--every", "often"),
        (*CREATE, "--session", "noon"),
        (*CREATE, "--at", "2026-03-02T14:30:00"),
        (*CREATE, "--every", "4h", "--catchup", "late"),
        (*CREATE, "--every", "4h", "--max-runs", "few"),
        (*CREATE, "--every", "4h", "--parameters", "[1]"),
        ("change", SCHEDULE_ID),
        ("change", SCHEDULE_ID, "--start", "now"),
        ("backfill", SCHEDULE_ID, "2026-01-05", "2026-01-16T00:00:00Z"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_before_anything_is_sent(
    gateway: FakeGateway, schedule: Blotter, arguments: tuple[str, ...]
) -> None:
    """With an example of what could be."""
    ended = schedule(*arguments)
    assert (ended.code, gateway.requests) == (2, [])
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "name", "strategy"),
        (*CREATE, "--every", "4h", "--overlap", "both"),
        ("history", SCHEDULE_ID, "--limit", "0"),
        ("pause", SCHEDULE_ID),
    ],
)
def test_wrong_usage_is_exit_code_2(gateway: FakeGateway, schedule: Blotter, arguments: tuple[str, ...]) -> None:
    """As the shell's own conventions have it."""
    assert (schedule(*arguments).code, gateway.requests) == (2, [])


def test_show_finds_a_schedule_by_its_name(gateway: FakeGateway, schedule: Blotter) -> None:
    """The list is asked for its id."""
    gateway.on(f"GET {ONE}", SCHEDULE)
    gateway.on(f"GET {ONE}/upcoming?n=5", UPCOMING)
    ended = schedule("show", "open-plus-5")
    assert ended.code == 0
    assert "enabled; next 2026-02-02 14:35:00 UTC (Mon 2026-02-02 09:35:00 EST)" in ended.out
    assert NEXT in ended.out
    assert [request for request, _, _ in gateway.requests] == [LIST, f"GET {ONE}", f"GET {ONE}/upcoming?n=5"]


def test_show_by_id_asks_no_list(gateway: FakeGateway, schedule: Blotter) -> None:
    """The id is enough, and the JSON is what the gateway said."""
    gateway.on(f"GET {ONE}", SCHEDULE)
    assert json.loads(schedule("show", SCHEDULE_ID, "--json").out) == SCHEDULE
    assert [request for request, _, _ in gateway.requests] == [f"GET {ONE}"]


def test_a_name_of_several_is_refused_with_their_ids(gateway: FakeGateway, schedule: Blotter) -> None:
    """All pages are looked through, and nothing is done to any of them."""
    twin = SCHEDULE | {"schedule_id": OTHER_ID, "when": {"every_seconds": 14400.0}, "timezone": "UTC", "calendar": None}
    gateway.on(LIST, {"items": [SCHEDULE], "next_cursor": "c"})
    gateway.on(f"{LIST}&cursor=c", {"items": [twin], "next_cursor": None})
    ended = schedule("trigger", "open-plus-5")
    assert (ended.code, ended.err) == (
        2,
        "2 schedules are named 'open-plus-5'; give the id of one: "
        f"{SCHEDULE_ID} (sma-crossover, cron 35 9 * * mon-fri, America/New_York, calendar XNYS); "
        f"{OTHER_ID} (sma-crossover, every 4h).\n",
    )
    assert {request.split()[0] for request, _, _ in gateway.requests} == {"GET"}


def test_an_unknown_name_is_refused_with_those_there_are_the_closest_first(
    gateway: FakeGateway, schedule: Blotter
) -> None:
    """A name is mostly mistyped by a letter."""
    items = [SCHEDULE | {"name": name} for name in ("closing", "nightly", "open-plus-5")]
    gateway.on(LIST, {"items": items, "next_cursor": None})
    ended = schedule("show", "open-plus5")
    assert (ended.code, ended.err) == (
        2,
        "No schedule is named 'open-plus5'; there are: open-plus-5; closing; nightly.\n",
    )


def test_of_many_names_twenty_are_told(gateway: FakeGateway, schedule: Blotter) -> None:
    """A line stays a line."""
    items = [SCHEDULE | {"name": f"s{number:03}"} for number in range(50)]
    gateway.on(LIST, {"items": items, "next_cursor": None})
    assert schedule("show", "zzz").err.endswith("; s019; and 30 more.\n")


def test_without_any_schedule_the_refusal_says_how_to_make_one(gateway: FakeGateway, schedule: Blotter) -> None:
    """There is nothing to choose from."""
    gateway.on(LIST, {"items": [], "next_cursor": None})
    ended = schedule("show", "open-plus-5")
    assert (ended.code, ended.err) == (
        2,
        "No schedule is named 'open-plus-5': there is none yet; make one with `blotter schedule create`.\n",
    )


def test_change_sends_only_what_is_given(gateway: FakeGateway, schedule: Blotter) -> None:
    """`none` takes a value away."""
    gateway.on(f"PATCH {ONE}", SCHEDULE)
    gateway.on(f"GET {ONE}/upcoming?n=5", UPCOMING)
    ended = schedule(
        *("change", "open-plus-5", "--name", "closing", "--strategy", "momentum", "--symbol", "IBM", "--symbol", "GE"),
        *("--session", "close-10m", "--end", "none", "--no-pause", "--priority", "low"),
    )
    assert (ended.code, NEXT in ended.out) == (0, True)
    assert sent(gateway)[0] == (
        f"PATCH {ONE}",
        {
            "name": "closing",
            "strategy_id": "momentum",
            "symbols": ["IBM", "GE"],
            "when": {"session": {"event": "close", "offset_seconds": -600}},
            "end_at": None,
            "pause_on_failure": False,
            "priority": "low",
        },
    )


def test_list_asks_for_what_is_meant_and_draws_a_row_each(gateway: FakeGateway, schedule: Blotter) -> None:
    """Conditions are the gateway's; as JSON all pages are one list."""
    gateway.on(
        "GET /api/schedules?limit=500&strategy_id=sma-crossover&user_id=ann&enabled=false",
        {"items": [DISABLED], "next_cursor": None},
    )
    drawn = schedule("list", "--strategy", "sma-crossover", "--user", "ann", "--disabled")
    assert (drawn.code, "disabled" in drawn.out) == (0, True)
    gateway.on(LIST, {"items": [SCHEDULE], "next_cursor": "c"})
    gateway.on(f"{LIST}&cursor=c", {"items": [DISABLED], "next_cursor": None})
    assert json.loads(schedule("list", "--json").out) == {"items": [SCHEDULE, DISABLED]}


@pytest.mark.parametrize(
    ("arguments", "query", "says"),
    [
        ((), "", "There are no schedules."),
        (("--enabled",), "&enabled=true", "There are no such schedules."),
    ],
)
def test_an_empty_list_says_so(
    gateway: FakeGateway, schedule: Blotter, arguments: tuple[str, ...], query: str, says: str
) -> None:
    """Rather than an empty table."""
    gateway.on(LIST + query, {"items": [], "next_cursor": None})
    assert schedule("list", *arguments).out.strip() == says


@pytest.mark.parametrize(
    ("arguments", "request_line", "answer", "says"),
    [
        (
            ("enable",),
            f"POST {ONE}/enable",
            SCHEDULE,
            "open-plus-5: enabled; next 2026-02-02 14:35:00 UTC (Mon 2026-02-02 09:35:00 EST)",
        ),
        (("disable",), f"POST {ONE}/disable", DISABLED | {"disabled_reason": None}, "open-plus-5: disabled"),
        (
            ("disable", "--reason", "earnings season"),
            f"POST {ONE}/disable?reason=earnings+season",
            DISABLED,
            "open-plus-5: disabled: earnings season",
        ),
    ],
)
def test_enable_and_disable_tell_what_it_is_now(
    gateway: FakeGateway,
    schedule: Blotter,
    arguments: tuple[str, ...],
    request_line: str,
    answer: dict[str, Any],
    says: str,
) -> None:
    """In one line, as the gateway answers."""
    gateway.on(request_line, answer)
    command, *options = arguments
    ended = schedule(command, "open-plus-5", *options)
    assert (ended.code, ended.out.strip()) == (0, says)
    assert sent(gateway) == [(request_line, None)]


@pytest.mark.parametrize(("arguments", "body"), [((), None), (("--overlap", "allow_all"), {"overlap": "allow_all"})])
def test_trigger_prints_the_id_of_the_task(
    gateway: FakeGateway, schedule: Blotter, arguments: tuple[str, ...], body: dict[str, str] | None
) -> None:
    """Alone, so that a script can take it."""
    gateway.on(f"POST {ONE}/trigger", TRIGGERED, status=202)
    ended = schedule("trigger", "open-plus-5", *arguments)
    assert (ended.code, ended.out) == (0, f"{TRIGGERED['task_id']}\n")
    assert sent(gateway) == [(f"POST {ONE}/trigger", body)]


def test_trigger_says_that_a_run_is_held(gateway: FakeGateway, schedule: Blotter) -> None:
    """A second line, after the id."""
    gateway.on(f"POST {ONE}/trigger", TRIGGERED | {"held": True}, status=202)
    assert schedule("trigger", "open-plus-5").out.splitlines() == [
        TRIGGERED["task_id"],
        "It is held until the runs before it have ended.",
    ]


def test_a_trigger_that_would_overlap_is_refused_with_what_to_do(gateway: FakeGateway, schedule: Blotter) -> None:
    """The gateway's own words, and exit code 2."""
    problem = {"title": "Schedule overlap", "detail": 'Send {"overlap": "allow_all"} to run it all the same.'}
    gateway.on(f"POST {ONE}/trigger", problem, status=409)
    ended = schedule("trigger", "open-plus-5")
    assert (ended.code, ended.err) == (2, f"Schedule overlap: {problem['detail']}\n")


def test_backfill_tells_how_many_times_there_are(gateway: FakeGateway, schedule: Blotter) -> None:
    """Without --overlap the gateway chooses."""
    gateway.on(f"POST {ONE}/backfill", BACKFILL, status=202)
    ended = schedule("backfill", "open-plus-5", "2026-01-05T00:00:00Z", "2026-01-16T18:59:59-05:00")
    assert (ended.code, ended.out.strip()) == (0, f"Backfill {BACKFILL_ID}: 10 times, overlap buffer_all")
    schedule("backfill", SCHEDULE_ID, "2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z", "--overlap", "allow_all")
    at = {"start": "2026-01-05T00:00:00+00:00"}
    assert sent(gateway) == [
        (f"POST {ONE}/backfill", at | {"end": "2026-01-16T18:59:59-05:00"}),
        (f"POST {ONE}/backfill", at | {"end": at["start"], "overlap": "allow_all"}),
    ]


def test_history_is_read_page_after_page_up_to_its_limit(gateway: FakeGateway, schedule: Blotter) -> None:
    """Newest first, and no page more than is needed."""
    gateway.on(f"GET {ONE}/history?limit=20", {"items": HISTORY[:1], "next_cursor": "4733"})
    gateway.on(f"GET {ONE}/history?limit=20&cursor=4733", {"items": HISTORY[1:], "next_cursor": None})
    drawn = schedule("history", "open-plus-5")
    assert (drawn.code, drawn.out.index("skipped for") < drawn.out.index("fired for")) == (0, True)
    assert json.loads(schedule("history", "open-plus-5", "--json").out) == {"items": HISTORY}
    gateway.on(f"GET {ONE}/history?limit=1", {"items": HISTORY[:1], "next_cursor": "4733"})
    assert json.loads(schedule("history", "open-plus-5", "--limit", "1", "--json").out) == {"items": HISTORY[:1]}


def test_upcoming_shows_the_times_of_the_zone_beside_utc(gateway: FakeGateway, schedule: Blotter) -> None:
    """As many as were asked for; as JSON the answer itself."""
    gateway.on(f"GET {ONE}/upcoming?n=2", UPCOMING)
    assert NEXT in schedule("upcoming", "open-plus-5", "-n", "2").out
    gateway.on(f"GET {ONE}/upcoming?n=10", UPCOMING)
    assert json.loads(schedule("upcoming", "open-plus-5", "--json").out) == UPCOMING


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_delete_asks_and_does_it_after_a_yes(
    gateway: FakeGateway, schedule: Blotter, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The question says what it is about, and stays out of standard output."""
    gateway.on(f"GET {ONE}", SCHEDULE)
    gateway.on(f"DELETE {ONE}", DELETED)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    ended = schedule("delete", "open-plus-5")
    assert (ended.code, ended.out.strip()) == (0, "open-plus-5 is deleted.")
    assert ended.err == (
        "Delete schedule open-plus-5 (sma-crossover, cron 35 9 * * mon-fri, America/New_York, calendar XNYS)? [y/N] "
    )


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n"], ids=["nobody", "enter", "no", "another word"])
def test_delete_does_nothing_without_a_yes(
    gateway: FakeGateway, schedule: Blotter, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Nor where nobody can answer, as in a script."""
    gateway.on(f"GET {ONE}", SCHEDULE)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    ended = schedule("delete", "open-plus-5")
    assert (ended.code, ended.err.endswith("Nothing was deleted: answer y, or give --yes.\n")) == (2, True)
    assert sent(gateway) == [(f"GET {ONE}", None)]


def test_delete_does_not_ask_with_yes(gateway: FakeGateway, schedule: Blotter) -> None:
    """For scripts."""
    gateway.on(f"DELETE {ONE}", DELETED)
    ended = schedule("delete", SCHEDULE_ID, "--yes")
    assert (ended.code, ended.out.strip(), ended.err) == (0, "open-plus-5 is deleted.", "")
    assert sent(gateway) == [(f"DELETE {ONE}", None)]


def test_nobody_there_is_exit_code_3(blotter: Blotter) -> None:
    """As with every command."""
    ended = blotter("schedule", "list")
    assert (ended.code, "start the stack with `blotter up`" in ended.err) == (3, True)
