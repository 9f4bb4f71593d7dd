"""The ledger of a real run, from outside."""

from tests.e2e.stack import Stack
from tests.waiting import until


def test_the_flagships_order_stands_in_the_ledger(stack: Stack) -> None:
    """As its result says, under its task at once and in the list of all as soon as it is projected."""
    task_id = stack.submit("sma-crossover", "MSFT", parameters={"as_of": "2013-01-25", "quantity": 1})
    (expected,) = stack.wait(task_id, "SUCCESS")["result"]["orders"]

    (order,) = stack.http.get(f"/api/tasks/{task_id}/orders").raise_for_status().json()["items"]
    assert {name: order[name] for name in expected} == expected
    assert (order["symbol"], order["side"], order["quantity"], order["step"]) == ("MSFT", "buy", "1", "trade")

    def listed() -> list[object]:
        page = stack.http.get("/api/orders", params={"task_id": task_id, "state": order["state"]})
        items: list[object] = page.raise_for_status().json()["items"]
        return items

    assert until(listed) == [order]
    parts = stack.http.get("/health/ready").json()["parts"]
    assert parts["orders"]["up"], parts
