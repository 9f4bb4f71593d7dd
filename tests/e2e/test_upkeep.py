"""What an operator does to a running stack: rebuild its tables, repair its queues, look into the past."""

from __future__ import annotations

import subprocess

from tests.e2e.stack import BLOTTER, CHECKOUT, Stack
from tests.projection_check import differences
from tests.waiting import until

RUNS = 20


def blotter(stack: Stack, *arguments: str) -> str:
    """Run a command against the stack and return what it prints."""
    environment = {name: value for name, value in stack.environment.items() if not name.endswith("_URL")}
    done = subprocess.run(
        [BLOTTER, *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tables_are_rebuilt_and_queues_repaired_while_runs_go_through(stack: Stack) -> None:
    """Both commands find the stack by its folder; the runs end as if nothing had been, and the tables are the fold."""
    tasks = [stack.submit("three-steps") for _ in range(RUNS)]
    assert "Rebuilt as of position" in blotter(stack, "rebuild")
    assert "Repair as of position" in blotter(stack, "doctor", "--repair")
    for task_id in tasks:
        assert stack.wait(task_id)["state"] == "SUCCESS"
    assert "Rebuilt as of position" in blotter(stack, "rebuild")
    until(lambda: differences(stack.record.database_url) == [])


def test_a_task_is_told_as_it_was_at_each_of_its_events(stack: Stack) -> None:
    """It began as queued, and ended as it is now."""
    task_id = stack.submit("three-steps")
    ended = stack.wait(task_id)
    events = stack.events(task_id)
    first, last = (
        stack.http.get(f"/api/tasks/{task_id}", params={"as_of": event["position"]}).json()
        for event in (events[0], events[-1])
    )
    assert (first["status"], first["version"]) == ("queued", 1)
    assert last == ended
