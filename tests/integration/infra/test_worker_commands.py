"""The commands about workers, against a small HTTP server that answers with the gateway's own example."""

from __future__ import annotations

import json

import pytest

from services.gateway.worker_examples import WORKER
from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway

LIST = "GET /api/workers"
DRAIN = "POST /api/workers/executor%40host/drain"
SILENT = {measure: None for measure in ("processed", "cpu_percent", "rss_bytes", "uss_bytes")}


def test_workers_are_listed_with_what_they_use(gateway: FakeGateway, blotter: Blotter) -> None:
    """Taken slots of all, percent of a core, memory of its own; what is not told stays empty."""
    old = WORKER | SILENT | {"name": "old@host", "state": "unresponsive"}
    gateway.on(LIST, {"items": [WORKER, old]})
    ended = blotter("workers")
    assert (ended.code, ended.err) == (0, "")
    new_row, old_row = (line for line in ended.out.splitlines() if "@host" in line)
    assert new_row.split()[:10] == ["executor@host", "online", "prefork", "1", "of", "2", "318", "72", "%", "192"]
    assert old_row.split()[:6] == ["old@host", "unresponsive", "prefork", "1", "of", "2"]
    assert "%" not in old_row


def test_without_workers_that_is_said(gateway: FakeGateway, blotter: Blotter) -> None:
    """Not an empty table."""
    gateway.on(LIST, {"items": []})
    assert blotter("workers").out == "There are no workers, and were none lately.\n"


def test_programs_get_the_gateways_answer(gateway: FakeGateway, blotter: Blotter) -> None:
    """As JSON, of the list and of a drain."""
    gateway.on(LIST, {"items": [WORKER]})
    gateway.on(DRAIN, WORKER, status=202)
    assert json.loads(blotter("workers", "--json").out) == {"items": [WORKER]}
    assert json.loads(blotter("workers", "drain", "executor@host", "--json").out) == WORKER


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "takes nothing more, and leaves when it has finished 1 in hand."),
        ({"active": []}, "takes nothing more, and leaves."),
        ({"state": "unresponsive"}, "is unresponsive: it leaves should it ever answer again."),
    ],
)
def test_draining_says_what_becomes_of_the_worker(
    gateway: FakeGateway, blotter: Blotter, changes: dict[str, object], said: str
) -> None:
    """By what it has in hand, and whether it answers."""
    gateway.on(DRAIN, WORKER | changes, status=202)
    assert blotter("workers", "drain", "executor@host").out == f"executor@host {said}\n"


def test_a_worker_that_is_gone_cannot_be_drained(gateway: FakeGateway, blotter: Blotter) -> None:
    """The gateway's own words, and the exit code of what was refused."""
    gateway.on(DRAIN, {"title": "Worker offline", "detail": "It is offline."}, status=409)
    ended = blotter("workers", "drain", "executor@host")
    assert (ended.code, ended.out) == (2, "")
    assert "It is offline." in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "No stack runs in"), (["--queues", "highest"], "There are no queues highest")],
)
def test_a_worker_is_not_started_for_nothing(blotter: Blotter, options: list[str], said: str) -> None:
    """Without servers, or with queues that are none, it says what is wrong."""
    ended = blotter("worker", *options)
    assert ended.code == 2
    assert said in ended.err
