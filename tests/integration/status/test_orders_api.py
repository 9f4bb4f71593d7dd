"""The ledger by the query API: filters, pages, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from tests.builders import failure, outcome, running, stamp, with_order
from tests.projection_check import differences

Project = Callable[[], None]


@pytest.fixture
def runs(log: EventLog, project: Project) -> dict[str, WorkflowExecution]:
    """Two runs with the orders a-1 (filled), a-2 (open) and b-1 (refused), in this order in time."""
    a, b = running(), running()
    with_order(a, "a-1", stamp(2))
    a.settle_order(stamp(3), attempt=1, client_order_id="a-1", outcome=outcome(state="filled", fees="0.05"))
    with_order(a, "a-2", stamp(4), symbol="IBM", side="sell", quantity="2.5")
    with_order(b, "b-1", stamp(5))
    b.reject_order(stamp(6), attempt=1, client_order_id="b-1", reason="no\0money")
    for run in (a, b):
        log.save_execution(run)
    project()
    return {"a": a, "b": b}


async def ids(api: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids that a list answers."""
    response = await api.get("/orders", params=query)
    assert response.status_code == 200, response.text
    return [item["client_order_id"] for item in response.json()["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["b-1", "a-2", "a-1"]),
        ({"symbol": "MSFT"}, ["b-1", "a-1"]),
        ({"state": "requested"}, ["a-2"]),
        ({"state": "rejected", "symbol": "IBM"}, []),
        ({"state": "ambiguous"}, []),
    ],
)
async def test_filters_narrow_the_list(
    api: httpx.AsyncClient, runs: dict[str, WorkflowExecution], query: dict[str, str], found: list[str]
) -> None:
    """All conditions must hold; the newest order comes first."""
    assert await ids(api, **query) == found


async def test_the_orders_of_one_task_are_found(api: httpx.AsyncClient, runs: dict[str, WorkflowExecution]) -> None:
    """By its id."""
    assert await ids(api, task_id=str(runs["a"].id)) == ["a-2", "a-1"]


async def test_an_order_shows_what_was_asked_and_what_became_of_it(
    api: httpx.AsyncClient, runs: dict[str, WorkflowExecution]
) -> None:
    """Every field of API.md, amounts as decimal strings; a NUL in a venue's words cannot stop the projection."""
    refused, _, filled = (await api.get("/orders")).json()["items"]
    assert filled == {
        "client_order_id": "a-1",
        "task_id": str(runs["a"].id),
        "step": "decide",
        "step_symbol": None,
        "symbol": "MSFT",
        "side": "buy",
        "quantity": "10",
        "limit_price": None,
        "state": "filled",
        "venue_order_id": "v-1",
        "filled_quantity": "0",
        "average_price": None,
        "fees": "0.05",
        "requested_at": "2026-03-02T14:30:02Z",
        "submitted_at": None,
        "filled_at": None,
        "reason": None,
    }
    assert refused["reason"] == "no\ufffdmoney"


async def test_pages_follow_one_another_without_gap_or_repeat(
    api: httpx.AsyncClient, runs: dict[str, WorkflowExecution]
) -> None:
    """Each cursor goes on behind the last order of its page."""
    seen, cursor = [], None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/orders", params=query)).json()
        seen += [item["client_order_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["b-1", "a-2", "a-1"]


async def test_an_order_settled_after_the_end_is_shown(
    api: httpx.AsyncClient,
    log: EventLog,
    project: Project,
    runs: dict[str, WorkflowExecution],
    migrated_database_url: str,
) -> None:
    """The row follows the ledger although its run has ended, and so does the run's partial result."""
    run = log.execution(runs["a"].id)
    run.fail(stamp(7), attempt=1, failure=failure(retryable=False))
    log.save_execution(run)
    project()
    run.resolve_order(stamp(8), client_order_id="a-2", outcome=outcome())
    log.save_execution(run)
    project()
    assert await ids(api, state="placed") == ["a-2"]
    task = (await api.get(f"/tasks/{run.id}")).json()
    assert [order["state"] for order in task["partial_result"]["orders"]] == ["filled", "placed"]
    assert task["finished_at"] == "2026-03-02T14:30:07Z"
    assert [each for each in differences(migrated_database_url) if "b-1" not in each] == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"task_id": "1"},
        {"cursor": "x"},
        {"cursor": "MjAyNi0wMy0wMixh"},
        {"limit": 0},
        {"side": "buy"},
    ],
)
async def test_what_cannot_be_asked_is_refused(api: httpx.AsyncClient, query: dict[str, Any]) -> None:
    """With the field that is wrong."""
    response = await api.get("/orders", params=query)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == list(query)
