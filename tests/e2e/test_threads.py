"""Running runs that are stopped in a pool of threads, where nothing from outside ends what a thread does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.blocked_runs import block, cancel, cleaned, slots_are_whole
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.waiting import until


@pytest.fixture(scope="module")
def desk() -> Iterator[Stack]:
    """A stack whose one worker has two threads, and gives a cancelled run a tenth of a second."""
    environment = {
        "BLOTTER_WORKER_POOL": "threads",
        "BLOTTER_WORKER_CONCURRENCY": "2",
        "BLOTTER_CANCEL_GRACE_SECONDS": "0.1",
    }
    with open_folder() as folder, Stack(folder / "home", **environment) as stack:
        yield stack


def test_a_step_that_looks_is_cancelled_and_cleans_up(desk: Stack, gates: Path) -> None:
    """At its next checkpoint, with what was done before kept; the thread is free at once."""
    task_id = block(desk, gates, "checkpoint")
    cancel(desk, task_id)

    assert cleaned(gates, task_id)
    assert desk.types(task_id) == ["submitted", "attempt_started", "step_completed", "cancel_requested", "cancelled"]
    slots_are_whole(desk, gates)


def test_a_step_that_looks_makes_way_and_goes_on_later(desk: Stack, gates: Path) -> None:
    """The urgent run starts at once in its place."""
    low = [block(desk, gates, "checkpoint", priority="low") for _ in range(2)]
    urgent = desk.submit("three-steps", priority="high")
    assert desk.wait(urgent, seconds=5)["state"] == "SUCCESS"
    until(lambda: desk.task(low[1])["attempts"] == 2, seconds=5, hint="the preempted run does not go on")

    assert [desk.task(task_id)["preemptions"] for task_id in low] == [0, 1]
    assert desk.task(low[1])["preempted_by"] == urgent
    cancel(desk, *low)


def test_a_step_that_looks_is_ended_when_its_time_is_over(desk: Stack, gates: Path) -> None:
    """The run's error names the step."""
    task = desk.wait(block(desk, gates, "checkpoint", timeout_seconds=1), "FAILURE", seconds=5)
    assert (task["error"]["timed_out"], task["error"]["step"]) == (True, "block")
    slots_are_whole(desk, gates)


@pytest.mark.parametrize(("timeout_seconds", "state"), [(3600, "REVOKED"), (1, "FAILURE")])
def test_a_step_that_does_not_look_is_done_without(
    desk: Stack, gates: Path, timeout_seconds: float, state: str
) -> None:
    """Cancelled, or past its time: its run ends in the log, its thread when the call returns, without a trace then."""
    task_id = block(desk, gates, "file", timeout_seconds=timeout_seconds)
    if state == "REVOKED":
        assert desk.http.delete(f"/api/tasks/{task_id}").status_code == 202
    task = desk.wait(task_id, state, seconds=20)
    before = desk.types(task_id)

    assert not cleaned(gates, task_id)
    assert (task["error"] or {}).get("timed_out", False) is (state == "FAILURE")
    (gates / "released").touch()
    until(lambda: cleaned(gates, task_id), hint="the call does not return")
    slots_are_whole(desk, gates)
    assert desk.types(task_id) == before
