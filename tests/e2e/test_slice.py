"""The main job end to end: many tasks, the flagship on real prices, levels, cancellation, the demo."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.local.ports import free_port
from tests.e2e.stack import BLOTTER, CHECKOUT, Stack
from tests.projection_check import differences
from tests.servers import open_folder
from tests.waiting import until

RUNS = 1000


def stand(gates: Path, tasks: Sequence[str]) -> None:
    """Wait until each gated task stands before its first gate."""
    until(lambda: all((gates / f"MSFT.{task}").exists() for task in tasks), hint="not all stand before the gate")


def test_a_thousand_tasks_all_succeed_and_the_projections_equal_the_log(stack: Stack) -> None:
    """Submitted by HTTP in two batches: a thousand records, all SUCCESS, and every row is what a fold says."""
    tasks = [{"strategy_id": "three-steps", "symbols": ["MSFT"], "labels": {"lot": "thousand"}}] * (RUNS // 2)
    for _ in range(2):
        answer = stack.http.post("/api/tasks/batch", json={"tasks": tasks}, timeout=60)
        assert answer.status_code == 202, answer.text

    def left() -> bool:
        open_tasks = (
            stack.http.get("/api/tasks", params={"label": "lot:thousand", "status": status, "limit": 1}).json()["items"]
            for status in ("queued", "running", "retrying")
        )
        return any(open_tasks)

    until(lambda: not left() and len(ids(stack)) == RUNS, seconds=120, every=0.5, hint="not all have ended")
    assert len(set(ids(stack))) == RUNS
    assert differences(stack.record.database_url) == []


def ids(stack: Stack) -> list[str]:
    """The ids of all tasks of the lot that succeeded, page by page."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"label": "lot:thousand", "state": "SUCCESS", "limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = stack.http.get("/api/tasks", params=query).json()
        found += [task["task_id"] for task in page["items"]]
        cursor = page["next_cursor"]
    return found


def test_the_flagship_trades_on_real_prices(stack: Stack) -> None:
    """As of 2010-08-03 both GOOG and MSFT have just made a golden cross; the orders fill at the next day's open."""
    task_id = stack.submit(
        "sma-crossover", "AAPL", "GOOG", "IBM", "MSFT", priority="high", parameters={"as_of": "2010-08-03"}
    )
    result = stack.wait(task_id, "SUCCESS")["result"]

    assert [(each["symbol"], each["action"]) for each in result["decisions"]] == [("GOOG", "buy"), ("MSFT", "buy")]
    assert [(order["symbol"], order["state"]) for order in result["orders"]] == [("GOOG", "filled"), ("MSFT", "filled")]
    assert {order["filled_at"][:10] for order in result["orders"]} == {"2010-08-04"}
    types = stack.types(task_id)
    assert types.index("order_requested") < types.index("order_placed")


def test_higher_levels_start_first(stack: Stack, gates: Path) -> None:
    """With every slot busy, what waits starts from high to low, whatever came first."""
    parameters = {"gates": str(gates)}
    blocking = [stack.submit("gated", "MSFT", parameters=parameters) for _ in range(2)]
    stand(gates, blocking)
    levels = ("low", "low", "normal", "normal", "high", "high")
    waiting = [stack.submit("three-steps", priority=level) for level in levels]
    assert stack.task(waiting[0])["reason"]
    (gates / "MSFT").touch()
    started = {task: stack.wait(task, "SUCCESS")["started_at"] for task in waiting}

    low, normal, high = waiting[:2], waiting[2:4], waiting[4:]
    assert max(started[task] for task in high) <= min(started[task] for task in normal)
    assert max(started[task] for task in normal) <= min(started[task] for task in low)


def test_a_waiting_task_is_cancelled_at_once_and_never_starts(stack: Stack, gates: Path) -> None:
    """REVOKED with its answer; when its pointer comes to a worker, nothing happens."""
    parameters = {"gates": str(gates)}
    blocking = [stack.submit("gated", "MSFT", parameters=parameters) for _ in range(2)]
    stand(gates, blocking)
    waiting = stack.submit("gated", "MSFT", parameters=parameters)
    answer = stack.http.delete(f"/api/tasks/{waiting}", params={"reason": "not today"})
    (gates / "MSFT").touch()
    for task in blocking:
        stack.wait(task, "SUCCESS")

    assert answer.status_code == 200
    assert answer.json() == {"task_id": waiting, "state": "REVOKED", "was": "queued", "cancelling": False}
    assert stack.wait(waiting)["state"] == "REVOKED"
    assert stack.types(waiting) == ["submitted", "cancel_requested", "cancelled"]
    assert not (gates / f"MSFT.{waiting}").exists()


def test_a_running_task_is_cancelled_in_the_middle_of_a_symbol(stack: Stack, gates: Path) -> None:
    """202 while it stops; the finished symbol stays in its record, the one it stands at is not waited for."""
    (gates / "MSFT").touch()
    task_id = stack.submit("gated", "MSFT", "IBM", parameters={"gates": str(gates)})
    until((gates / f"IBM.{task_id}").exists, hint="it does not get to its second symbol")
    answer = stack.http.delete(f"/api/tasks/{task_id}")
    task = stack.wait(task_id, "REVOKED")

    assert (answer.status_code, answer.json()["was"], answer.json()["cancelling"]) == (202, "running", True)
    assert task["partial_result"]["completed_steps"] == [{"step": "passed", "symbol": "MSFT"}]
    assert stack.http.delete(f"/api/tasks/{task_id}").status_code == 200


def test_the_demo_trades_and_leaves_nothing_running() -> None:
    """`blotter demo` in an empty folder shows decisions, orders and times, and ends with code 0."""
    with open_folder() as folder:
        home = folder / "home"
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        demo = subprocess.run(
            [BLOTTER, "demo"],
            cwd=CHECKOUT,
            env={**environment, "BLOTTER_HOME": str(home), "BLOTTER_PORT": str(free_port())},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        running = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False).stdout.split()

    assert demo.returncode == 0, demo.stdout + demo.stderr
    for word in ("Decisions", "Orders", "Artifacts", "report.html", "Where the time went", "filled"):
        assert word in demo.stdout
    assert running == []


def test_beat_probes_the_projection_lag_by_way_of_a_worker(stack: Stack) -> None:
    """From beat through the queue of maintenance to the worker, which asks the status service and logs the answer."""
    until(lambda: "projection.lag" in stack.log_of("worker"), seconds=30, hint="no probe was run")
