"""Workers that come, leave and die, on a stack of its own whose worker may leave too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.record import ProcessRecord, ProcessState
from shared.domain.workers import OFFLINE_AFTER
from tests.e2e.blocked_runs import arrived
from tests.e2e.stack import Stack
from tests.e2e.workers import await_state, drain, node_name, seen, started, worker
from tests.servers import open_folder
from tests.waiting import until

RUNS = 12
SETTLES_SECONDS = 30


@pytest.fixture
def own() -> Iterator[Stack]:
    """A stack for one test, whose worker has one slot."""
    with open_folder() as folder, Stack(folder / "home", BLOTTER_WORKER_CONCURRENCY="1") as stack:
        yield stack


def stand_at(stack: Stack, gates: Path, symbol: str, **body: str) -> str:
    """Start a gated run, and wait until it stands before its gate."""
    task_id = stack.submit("gated", symbol, parameters={"gates": str(gates)}, **body)
    until(arrived(gates, symbol, task_id).exists, seconds=SETTLES_SECONDS, hint=f"{symbol} has not begun")
    return task_id


def process(stack: Stack, name: str) -> ProcessRecord:
    """Return what the supervisor tells of one of its processes."""
    return next(each for each in stack.record.processes if each.name == name)


def kill_and_await_restart(stack: Stack, name: str) -> None:
    """Kill a process of the stack, and wait until the supervisor has it again."""
    before = process(stack, name).pid
    assert before is not None
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        now = process(stack, name)
        return now.state is ProcessState.RUNNING and now.pid != before

    until(is_back, seconds=SETTLES_SECONDS, hint=f"{name} is not restarted")


def test_a_drain_during_a_step_loses_nothing_whatever_dies_meanwhile(own: Stack, gates: Path) -> None:
    """The run in hand ends on its worker, all that wait on another; dispatcher and Redis are killed in between."""
    held = stand_at(own, gates, "IBM", priority="high")
    waiting = [own.submit("three-steps", priority=level) for level in ("high", "low") for _ in range(RUNS)]
    name = await_state(own, "executor", "online")["name"]

    drain(own, "executor")
    kill_and_await_restart(own, "dispatcher")
    await_state(own, "executor", "draining")
    kill_and_await_restart(own, "valkey")
    told = await_state(own, "executor", "draining")
    assert (told["queues"], told["processed"]) == ([], 0)
    with started(own) as beside:
        assert {own.wait(task_id, seconds=60)["state"] for task_id in waiting} == {"SUCCESS"}
        assert name not in {own.task(task_id)["worker"] for task_id in waiting}

        (gates / "IBM").touch()
        ended = own.wait(held)
        assert (ended["state"], ended["attempts"], ended["worker"]) == ("SUCCESS", 1, name)
        until(lambda: process(own, "worker").state is ProcessState.LEFT, seconds=SETTLES_SECONDS, hint="it stays")
        assert await_state(own, "executor", "offline")["processed"] == 1
        assert process(own, "worker").restarts == 0
        assert own.wait(own.submit("three-steps"))["state"] == "SUCCESS"
        drain(own, "started")
        assert beside.exit_code() == 0


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_drained_while_runs_rush_in_takes_none_of_them_with_it(stack: Stack, pool: str) -> None:
    """It leaves in the middle of a stream of short runs, and each of them ends, at its first attempt."""
    with started(stack, "--concurrency", "2", "--pool", pool) as beside:
        name = await_state(stack, "started", "online")["name"]
        runs = [stack.submit("three-steps") for _ in range(5 * RUNS)]
        until(lambda: (seen(stack, "started")["processed"] or 0) > 0, hint="it takes none")
        drain(stack, "started")
        assert beside.exit_code() == 0
    ended = [stack.wait(task_id, seconds=60) for task_id in runs]
    assert {(task["state"], task["attempts"]) for task in ended} == {("SUCCESS", 1)}
    assert name in {task["worker"] for task in ended}
    assert await_state(stack, "started", "offline")["processed"] > 0


def test_a_worker_reserved_for_a_level_takes_no_other(stack: Stack, gates: Path) -> None:
    """`blotter worker --queues high` leaves normal runs to wait, and takes a high one at once."""
    with started(stack, "--queues", "high", "--concurrency", "2"):
        told = await_state(stack, "started", "online")
        assert told["queues"] == ["high.resume", "high"]
        held = [stand_at(stack, gates, "IBM") for _ in range(2)]
        waiting = stack.submit("three-steps")
        high = [stand_at(stack, gates, "MSFT", priority="high") for _ in range(2)]
        assert {stack.task(task_id)["worker"] for task_id in high} == {told["name"]}
        assert {stack.task(task_id)["preemptions"] for task_id in held} == {0}
        (gates / "MSFT").touch()
        assert {stack.wait(task_id)["state"] for task_id in high} == {"SUCCESS"}
        assert stack.task(waiting)["state"] == "PENDING"

        (gates / "IBM").touch()
        assert {stack.wait(task_id)["worker"] for task_id in (*held, waiting)} == {seen(stack, "executor")["name"]}


def test_a_worker_that_is_killed_is_unresponsive_and_then_offline(stack: Stack) -> None:
    """It said no goodbye: for a minute it may come back, and then nobody waits for it."""
    with worker(stack, "doomed") as doomed:
        await_state(stack, "doomed", "online")
        doomed.kill()
        before = seen(stack, "doomed")
        silent = await_state(stack, "doomed", "unresponsive")
        assert silent["last_heartbeat_at"] >= before["last_heartbeat_at"]
    await_state(stack, "doomed", "offline", seconds=OFFLINE_AFTER.total_seconds() + SETTLES_SECONDS)


def test_a_worker_that_was_asked_to_leave_while_it_was_stopped_leaves_when_it_wakes_up(stack: Stack) -> None:
    """The request stands in the log, and is told again until it is heard."""
    with started(stack) as beside:
        await_state(stack, "started", "online")
        beside.process.suspend()
        await_state(stack, "started", "unresponsive")
        drain(stack, "started")
        beside.process.resume()
        assert beside.exit_code() == 0
    await_state(stack, "started", "offline")


@pytest.mark.parametrize("limit", ["BLOTTER_WORKER_MAX_TASKS", "BLOTTER_WORKER_MAX_MEMORY_KB"])
def test_a_child_past_its_limit_is_replaced_and_no_run_is_lost(stack: Stack, gates: Path, limit: str) -> None:
    """After so many tasks, or over so much memory: each run at its first attempt, by children of which none stays."""
    held = [stand_at(stack, gates, "IBM") for _ in range(2)]
    with worker(stack, "limited", BLOTTER_WORKER_CONCURRENCY="2", **{limit: "1"}) as limited:
        name = node_name(stack, "limited")
        first = children(limited.process)
        runs = [stack.submit("three-steps") for _ in range(4)]
        ended = [stack.wait(task_id, seconds=60) for task_id in runs]
        until(lambda: not first & children(limited.process), hint="the children that began are still there")
    assert {(task["state"], task["attempts"], task["worker"]) for task in ended} == {("SUCCESS", 1, name)}
    (gates / "IBM").touch()
    assert {stack.wait(task_id)["state"] for task_id in held} == {"SUCCESS"}


def children(parent: psutil.Process) -> set[int]:
    """The processes of a worker's pool."""
    return {child.pid for child in parent.children()}
