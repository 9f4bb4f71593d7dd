"""The commands about queues, against a small HTTP server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway

RUNS = {"paused": False, "paused_at": None, "paused_by": None, "pause_reason": None}
PAUSED = {
    "priority": "high",
    "paused": True,
    "paused_at": "2026-01-30T14:30:00Z",
    "paused_by": "ann",
    "pause_reason": "the venue is down",
}
QUEUES: dict[str, Any] = {
    "items": [
        PAUSED | {"depth": 3, "oldest_seconds": 90.7, "consumers": ["one@desk", "two@desk"]},
        RUNS | {"priority": "normal", "depth": 1, "oldest_seconds": 0.2, "consumers": ["one@desk"]},
        RUNS | {"priority": "low", "depth": 0, "oldest_seconds": None, "consumers": []},
    ],
    "maintenance": {"depth": 2, "consumers": ["one@desk"]},
}


def lines(out: str) -> dict[str, list[str]]:
    """The cells of a table by its first column."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


def test_queues_shows_what_waits_who_takes_it_and_what_is_paused(gateway: FakeGateway, blotter: Blotter) -> None:
    """A line a queue; nothing is said of what does not apply."""
    gateway.on("GET /api/queues", QUEUES)
    ended = blotter("queues")
    found = lines(ended.out)
    assert ended.code == 0
    assert found["high"] == ["3", "1m30s", "one@desk, two@desk", "by ann since 2026-01-30T14:30:00Z: the venue is down"]
    assert found["normal"] == ["1", "0s", "one@desk"]
    assert found["low"] == ["0", "none"]
    assert found["maintenance"] == ["2", "one@desk"]


def test_what_is_not_known_without_redis_is_a_question_mark(gateway: FakeGateway, blotter: Blotter) -> None:
    """And not none."""
    items = [item | {"consumers": None, **RUNS} for item in QUEUES["items"]]
    gateway.on("GET /api/queues", {"items": items, "maintenance": {"depth": None, "consumers": None}})
    found = lines(blotter("queues").out)
    assert (found["low"], found["maintenance"]) == (["0", "?"], ["?", "?"])


def test_queues_as_json_is_the_gateways_answer(gateway: FakeGateway, blotter: Blotter) -> None:
    """To the letter."""
    gateway.on("GET /api/queues", QUEUES)
    assert json.loads(blotter("queues", "--json").out) == QUEUES


def test_pause_sends_the_reason_and_says_what_holds(gateway: FakeGateway, blotter: Blotter) -> None:
    """Which may be an earlier pause."""
    gateway.on("POST /api/queues/high/pause?reason=the+venue+is+down", PAUSED)
    ended = blotter("queues", "pause", "high", "--reason", "the venue is down")
    assert (ended.code, ended.out) == (0, "high is paused by ann since 2026-01-30T14:30:00Z: the venue is down\n")
    gateway.on("POST /api/queues/high/pause", PAUSED | {"pause_reason": None})
    assert blotter("queues", "pause", "high").out == "high is paused by ann since 2026-01-30T14:30:00Z\n"


def test_resume_says_so(gateway: FakeGateway, blotter: Blotter) -> None:
    """Also of a queue that was not paused."""
    gateway.on("POST /api/queues/low/resume", RUNS | {"priority": "low"})
    ended = blotter("queues", "resume", "low")
    assert (ended.code, ended.out) == (0, "low is not paused\n")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_no_level_is_bad_usage(gateway: FakeGateway, blotter: Blotter, verb: str) -> None:
    """Nobody is asked."""
    assert blotter("queues", verb, "urgent").code == 2
    assert gateway.requests == []


def test_a_refusal_is_one_line(gateway: FakeGateway, blotter: Blotter) -> None:
    """As the gateway words it."""
    problem = {"title": "Forbidden", "detail": "This needs the role admin; ann is trader. Ask an admin for a key."}
    gateway.on("POST /api/queues/high/pause", problem, status=403)
    ended = blotter("queues", "pause", "high")
    assert (ended.code, ended.err) == (2, f"Forbidden: {problem['detail']}\n")
