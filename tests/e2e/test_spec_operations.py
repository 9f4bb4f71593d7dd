"""The specification's scenarios of operations, from outside, on the real stack: one test for each id."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.blocked_runs import arrived, block, cancel
from tests.e2e.stack import Stack
from tests.e2e.workers import await_state, drain, node_name, seen, started, worker
from tests.waiting import until

LEVELS = ("high", "normal", "low")
QUEUES = {*LEVELS, *(f"{level}.resume" for level in LEVELS), "maintenance"}


def stand_at(stack: Stack, gates: Path, symbol: str, **body: Any) -> str:
    """Start a gated run, and wait until it stands before its gate."""
    task_id = stack.submit("gated", symbol, parameters={"gates": str(gates)}, **body)
    until(arrived(gates, symbol, task_id).exists, hint=f"{symbol} has not begun")
    return task_id


def test_r7_1_a_worker_is_configured_by_its_settings_and_joins_by_itself(stack: Stack, gates: Path) -> None:
    """Three threads and limits, by the environment: it registers, consumes every queue, and takes what others leave."""
    settings = {
        "BLOTTER_WORKER_POOL": "threads",
        "BLOTTER_WORKER_CONCURRENCY": "3",
        "BLOTTER_WORKER_MAX_MEMORY_KB": "500000",
        "BLOTTER_WORKER_MAX_TASKS": "100",
    }
    with worker(stack, "extra", **settings):
        name = node_name(stack, "extra")
        workers: Any = stack.celery.control.inspect(timeout=1)
        pool, conf = (getattr(workers, what)()[name] for what in ("stats", "conf"))
        assert pool["pool"]["max-concurrency"] == 3
        assert pool["pool"]["implementation"].startswith("celery.concurrency.thread")
        assert (conf["worker_max_memory_per_child"], conf["worker_max_tasks_per_child"]) == (500_000, 100)
        assert {queue["name"] for queue in workers.active_queues()[name]} == QUEUES
        assert "executor.run" in workers.registered()[name]
        told = await_state(stack, "extra", "online")
        assert (told["name"], told["pool"], told["concurrency"], {*told["queues"]}) == (name, "threads", 3, QUEUES)

        tasks = [stand_at(stack, gates, "IBM") for _ in range(5)]
        assert [stack.task(task_id)["worker"] for task_id in tasks].count(name) == 3
        (gates / "IBM").touch()
        assert {stack.wait(task_id)["state"] for task_id in tasks} == {"SUCCESS"}


def test_r7_2_workers_tell_how_they_do_and_celery_inspect_agrees(stack: Stack, gates: Path) -> None:
    """Tasks in hand, processor and memory are those of the processes; one that is stopped is unresponsive."""
    computing, waiting = block(stack, gates, "numpy"), stand_at(stack, gates, "IBM")

    def busy() -> bool:
        told = seen(stack, "executor")
        return {*told["active"]} == {computing, waiting} and (told["cpu_percent"] or 0) > 1

    until(busy, hint="the worker does not tell that it computes")
    told, inspected = seen(stack, "executor"), {what: stack.inspect(what) for what in ("ping", "active", "stats")}
    assert (told["state"], inspected["ping"]) == ("online", {"ok": "pong"})
    assert {*told["active"]} == {active["kwargs"]["task_id"] for active in inspected["active"]}
    stats = inspected["stats"]
    assert (told["pid"], told["concurrency"]) == (stats["pid"], stats["pool"]["max-concurrency"])
    assert told["processed"] == stats["total"]["executor.run"] + stats["total"].get("executor.branch", 0) - 2

    parent = psutil.Process(told["pid"])
    resident = sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True)))
    assert told["rss_bytes"] == pytest.approx(resident, rel=0.2)
    assert 0 < told["uss_bytes"] < told["rss_bytes"]
    cancel(stack, computing)
    (gates / "IBM").touch()
    stack.wait(waiting)
    until(lambda: (now := seen(stack, "executor"))["active"] == [] and now["processed"] == told["processed"] + 2)

    with started(stack) as beside:
        await_state(stack, "started", "online")
        beside.process.send_signal(signal.SIGSTOP)
        silent = await_state(stack, "started", "unresponsive")
        beside.process.send_signal(signal.SIGCONT)
        back = await_state(stack, "started", "online")
    assert back["last_heartbeat_at"] > silent["last_heartbeat_at"]
    assert back["started_at"] == silent["started_at"]


def test_r7_3_workers_join_at_any_time_and_drain_when_they_leave(stack: Stack, gates: Path) -> None:
    """One more takes what waits; told to leave, it finishes that, takes nothing more, and says goodbye."""
    held = [stand_at(stack, gates, "IBM") for _ in range(2)]
    backlog = stack.submit("gated", "MSFT", parameters={"gates": str(gates)})
    with started(stack, "--concurrency", "1") as beside:
        until(arrived(gates, "MSFT", backlog).exists, seconds=30, hint="the backlog is not taken up")
        name = seen(stack, "started")["name"]
        assert stack.task(backlog)["worker"] == name

        drain(stack, "started")
        assert await_state(stack, "started", "draining")["active"] == [backlog]
        left = stack.submit("gated", "AAPL", parameters={"gates": str(gates)})
        (gates / "MSFT").touch()
        assert stack.wait(backlog)["attempts"] == 1
        assert beside.exit_code() == 0
    assert await_state(stack, "started", "offline")["active"] == []
    again = stack.http.post(f"/api/workers/{name}/drain")
    assert (again.status_code, again.json()["code"]) == (409, "worker_offline")

    for symbol in ("IBM", "AAPL"):
        (gates / symbol).touch()
    assert {stack.wait(task_id)["state"] for task_id in (*held, left)} == {"SUCCESS"}
    assert stack.task(left)["worker"] != name
