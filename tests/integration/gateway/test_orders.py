"""Reading the ledger: of all tasks through the status service, of one task from the log."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.domain.execution import WorkflowExecution
from tests.builders import outcome, running, stamp, with_order
from tests.integration.gateway.stage import Stage


@pytest.fixture
async def run(stage: Stage) -> WorkflowExecution:
    """A run with three orders, the first of them filled, in the log and projected."""
    execution = running()
    for number in (1, 2, 3):
        with_order(execution, f"o-{number}", stamp(number), symbol="IBM" if number == 2 else "MSFT")
    execution.settle_order(stamp(4), attempt=1, client_order_id="o-1", outcome=outcome(state="filled"))
    await stage.log.append(execution.collect_events())
    stage.status.show(execution)
    return execution


async def test_orders_are_listed_and_narrowed(stage: Stage, run: WorkflowExecution) -> None:
    """The status service's page goes through as it is."""
    answer = await stage.client.get("/api/orders", params={"symbol": "MSFT", "task_id": str(run.id)})
    assert answer.status_code == 200
    assert [order["client_order_id"] for order in answer.json()["items"]] == ["o-3", "o-1"]
    filled = (await stage.client.get("/api/orders", params={"state": "filled"})).json()["items"]
    assert [(order["client_order_id"], order["venue_order_id"]) for order in filled] == [("o-1", "v-1")]


async def test_the_orders_of_a_task_come_oldest_first_in_pages(stage: Stage, run: WorkflowExecution) -> None:
    """Without gap or repeat, and with the fields of the list of all."""
    path = f"/api/tasks/{run.id}/orders"
    first = (await stage.client.get(path, params={"limit": 2})).json()
    second = (await stage.client.get(path, params={"cursor": first["next_cursor"]})).json()
    assert [order["client_order_id"] for order in first["items"] + second["items"]] == ["o-1", "o-2", "o-3"]
    assert second["next_cursor"] is None
    listed = (await stage.client.get("/api/orders")).json()["items"]
    assert list(reversed(listed)) == first["items"] + second["items"]


async def test_the_orders_of_a_task_need_no_status_service(stage: Stage, run: WorkflowExecution) -> None:
    """The list of all does, and says so."""
    stage.status.away = True
    assert (await stage.client.get(f"/api/tasks/{run.id}/orders")).status_code == 200
    away = await stage.client.get("/api/orders")
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    assert "/api/tasks/{task_id}/orders" in away.json()["detail"]


async def test_an_unknown_task_has_no_orders(stage: Stage) -> None:
    """404, as for the task itself."""
    answer = await stage.client.get(f"/api/tasks/{uuid4()}/orders")
    assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")


@pytest.mark.parametrize(
    "query", [{"state": "lost"}, {"task_id": "1"}, {"symbol": "msft"}, {"side": "buy"}, {"limit": 0}]
)
async def test_what_cannot_be_asked_is_refused(stage: Stage, query: dict[str, str]) -> None:
    """With the field that is wrong."""
    answer = await stage.client.get("/api/orders", params=query)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, list(query))
