"""Cancelling many tasks, retrying at once, and why a task waits, on a whole stack from outside."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.cancelling import busy_workers, cancel_all, cancel_one, fill
from tests.e2e.stack import Stack
from tests.waiting import until

MANY = 1_000


def test_many_queued_tasks_are_cancelled_at_once(stack: Stack, gates: Path) -> None:
    """The answer is durable, names all of them, and every part of the system has followed soon after."""
    with busy_workers(stack, gates):
        answered, followed = cancel_all(stack, MANY)
    assert answered < 3
    assert followed < 30


def test_a_queued_task_is_cancelled_at_once_however_many_are_queued(stack: Stack, gates: Path) -> None:
    """One out of a thousand goes; the others still wait."""
    with busy_workers(stack, gates):
        ids = fill(stack, MANY, gates.name)
        assert cancel_one(stack, ids[MANY // 2]) < 1
        rest = stack.http.post("/api/tasks/cancel", json={"filter": {"label": f"bulk:{gates.name}"}}, timeout=60).json()
    assert (rest["count"], set(rest["task_ids"])) == (MANY - 1, set(ids) - {ids[MANY // 2]})


def test_a_task_that_is_retried_by_hand_does_not_wait_for_its_time(stack: Stack) -> None:
    """The third retry would come after four seconds; it comes at once, and from the step that failed."""
    task_id = stack.submit("faulty", parameters={"kind": "temporary", "failures": 3})
    until(lambda: (task := stack.task(task_id))["attempts"] == 3 and task["state"] == "RETRY", seconds=30)
    answer = stack.http.post(f"/api/tasks/{task_id}/retry")
    assert (answer.status_code, answer.json()["next_retry_at"]) == (202, None)
    task = stack.wait(task_id, "SUCCESS")
    assert task["result"]["output"] == [1, 4]
    events = stack.events(task_id)
    due_at = [event["data"]["due_at"] for event in events if event["type"] == "execution.retry_scheduled"][-1]
    started_at = [event["at"] for event in events if event["type"] == "execution.attempt_started"][-1]
    assert datetime.fromisoformat(started_at) < datetime.fromisoformat(due_at)


def test_a_preempted_task_says_for_whom_it_made_way(stack: Stack, gates: Path) -> None:
    """While urgent work has the workers, the answer names it."""
    (gates / "low").mkdir()
    parameters = {"gates": str(gates / "low")}
    low = [stack.submit("gated", "AAPL", priority="low", parameters=parameters) for _ in range(2)]
    until(lambda: all((gates / "low" / f"AAPL.{task}").exists() for task in low), seconds=30)
    with busy_workers(stack, gates):
        waiting = until(lambda: _preempted(stack, *low), seconds=30)
        for found in waiting:
            assert found["reason"].startswith(f"preempted by high-priority task {found['preempted_by']} at ")
            assert found["reason"].endswith("resumes from its checkpoint as soon as a worker is free")
        (gates / "low" / "AAPL").touch()
    for task in low:
        stack.wait(task, "SUCCESS")


def _preempted(stack: Stack, *task_ids: str) -> list[dict[str, Any]]:
    found = [stack.task(task_id) for task_id in task_ids]
    return found if all(task["status"] == "preempted" for task in found) else []
