"""Pausing a level on the whole stack, from outside, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.record import ProcessState
from tests.e2e.blocked_runs import arrived
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.waiting import until


@pytest.fixture
def desk() -> Iterator[Stack]:
    """A stack that may be hurt."""
    with open_folder() as folder, Stack(folder / "home") as stack:
        yield stack


def change(stack: Stack, level: str, verb: str, **query: str) -> dict[str, Any]:
    """Pause or resume a level."""
    answer = stack.http.post(f"/api/queues/{level}/{verb}", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def queue(stack: Stack, level: str) -> dict[str, Any]:
    """What `GET /api/queues` says of a level."""
    items = stack.http.get("/api/queues").raise_for_status().json()["items"]
    (found,) = [item for item in items if item["priority"] == level]
    return dict(found)


def restarts(stack: Stack, name: str) -> int:
    """How often a process was restarted, if it runs."""
    (process,) = [each for each in stack.record.processes if each.name == name]
    return process.restarts if process.state is ProcessState.RUNNING else 0


def kill(stack: Stack, name: str) -> None:
    """kill -9, and wait until it is back and the gateway is ready."""
    (process,) = [each for each in stack.record.processes if each.name == name]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: restarts(stack, name) > process.restarts, seconds=60, hint=f"{name} does not come back")
    until(lambda: stack.http.get("/health/ready").status_code == 200, seconds=60, hint="the gateway is not ready")


def test_a_paused_level_stays_paused_whatever_dies_and_the_others_run(desk: Stack, gates: Path) -> None:
    """One at work goes on to its end; what is submitted waits through the death of dispatcher, Redis and PostgreSQL and
    through a wipe, and says why; resumed, it runs."""
    working = desk.submit("gated", "AAPL", priority="high", parameters={"gates": str(gates)})
    until(arrived(gates, "AAPL", working).exists, seconds=30, hint="it does not begin")
    change(desk, "high", "pause", reason="the venue is down")
    waiting = [desk.submit("three-steps", priority="high") for _ in range(3)]
    (gates / "AAPL").touch()
    assert desk.wait(working)["state"] == "SUCCESS"
    assert desk.wait(desk.submit("three-steps"))["state"] == "SUCCESS"

    for name in ("dispatcher", "valkey", "postgres"):
        kill(desk, name)
        assert desk.wait(desk.submit("three-steps", priority="low"), seconds=60)["state"] == "SUCCESS"
    desk.redis.flushall()
    assert desk.wait(desk.submit("three-steps"), seconds=60)["state"] == "SUCCESS"

    told = until(lambda: (found := queue(desk, "high"))["depth"] == 3 and found, hint="the tables do not say so")
    assert (told["paused"], told["paused_by"], told["pause_reason"]) == (True, "local", "the venue is down")
    assert told["oldest_seconds"] > 0
    for task_id in waiting:
        task = desk.task(task_id)
        assert (task["state"], task["attempts"]) == ("PENDING", 0)
        assert task["reason"].startswith("waiting: queue high is paused by local since ")

    assert desk.http.delete(f"/api/tasks/{waiting[0]}").json()["state"] == "REVOKED"
    change(desk, "high", "resume")
    assert {desk.wait(task_id, seconds=60)["state"] for task_id in waiting[1:]} == {"SUCCESS"}
    assert queue(desk, "high")["paused"] is False
    assert desk.task(waiting[0])["attempts"] == 0


def test_a_pause_takes_back_what_lies_in_redis(desk: Stack, gates: Path) -> None:
    """All slots are taken and a window of urgent tasks waits for them: none of those begins when the slots are free."""
    busy = [desk.submit("gated", "AAPL", priority="high", parameters={"gates": str(gates)}) for _ in range(2)]
    for task_id in busy:
        until(arrived(gates, "AAPL", task_id).exists, seconds=30, hint="it does not begin")
    waiting = [desk.submit("three-steps", priority="high") for _ in range(30)]
    until(lambda: desk.redis.llen("high") > 0, hint="nothing is sent")
    change(desk, "high", "pause")
    until(lambda: desk.redis.llen("high") + desk.redis.llen("high.resume") == 0, hint="nothing is taken back")
    (gates / "AAPL").touch()
    assert {desk.wait(task_id)["state"] for task_id in busy} == {"SUCCESS"}
    assert desk.wait(desk.submit("three-steps", priority="low"))["state"] == "SUCCESS"
    assert {desk.task(task_id)["attempts"] for task_id in waiting} == {0}

    change(desk, "high", "resume")
    assert {desk.wait(task_id, seconds=60)["state"] for task_id in waiting} == {"SUCCESS"}
