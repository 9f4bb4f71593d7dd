"""Running runs that are stopped: cancelled, preempted, out of time, in whatever they are doing."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.blocked_runs import block, cancel, cleaned, slots_are_whole
from tests.e2e.stack import Stack
from tests.projection_check import differences
from tests.servers import open_folder
from tests.waiting import until

GRACE_SECONDS = 1
RACES = 100
GENTLE = ("sleep", "socket", "httpx", "subprocess", "lock", "numpy", "except Exception", "checkpoint")
FORCED = ("except BaseException", "C")


@pytest.fixture(scope="module")
def desk() -> Iterator[Stack]:
    """A stack with two slots and a short grace."""
    environment = {"BLOTTER_CANCEL_GRACE_SECONDS": str(GRACE_SECONDS), "BLOTTER_WORKER_CONCURRENCY": "2"}
    with open_folder() as folder, Stack(folder / "home", **environment) as stack:
        yield stack
        assert differences(stack.record.database_url) == []


@pytest.fixture(autouse=True)
def nothing_left(desk: Stack) -> Iterator[None]:
    """What a test that fails has left blocking is cancelled, so that it keeps no slot from the tests after it."""
    yield
    left = desk.http.post("/api/tasks/cancel", json={"filter": {"strategy_id": "blocking"}}, timeout=60).json()
    for task_id in left["task_ids"]:
        desk.wait(task_id, "REVOKED")


@pytest.mark.parametrize("how", GENTLE)
def test_a_blocking_step_is_cancelled_and_cleans_up(desk: Stack, gates: Path, how: str) -> None:
    """It ends within a grace of one second, by its own `finally`, with what was done before kept."""
    task_id = block(desk, gates, how)
    cancel(desk, task_id)

    assert cleaned(gates, task_id)
    assert desk.types(task_id) == ["submitted", "attempt_started", "step_completed", "cancel_requested", "cancelled"]
    assert desk.task(task_id)["partial_result"]["completed_steps"] == [{"step": "first", "symbol": None}]
    slots_are_whole(desk, gates)


@pytest.mark.parametrize("how", FORCED)
def test_a_step_that_does_not_stop_is_ended_by_force(desk: Stack, gates: Path, how: str) -> None:
    """After the grace its child is killed; the slot comes back, and the run is cancelled and not tried again."""
    task_id = block(desk, gates, how)
    cancel(desk, task_id)

    assert not cleaned(gates, task_id)
    assert desk.types(task_id)[-3:] == ["cancel_requested", "worker_lost", "cancelled"]
    slots_are_whole(desk, gates)


@pytest.mark.parametrize("how", ["sleep", "C"])
def test_a_run_past_its_time_fails_in_the_middle_of_a_step(desk: Stack, gates: Path, how: str) -> None:
    """Its error names the step and says that time was over; what was done before is its partial result."""
    task_id = block(desk, gates, how, timeout_seconds=1)
    task = desk.wait(task_id, "FAILURE", seconds=20)

    assert (task["error"]["type"], task["error"]["timed_out"], task["error"]["step"]) == ("timeout", True, "block")
    assert task["partial_result"]["completed_steps"] == [{"step": "first", "symbol": None}]
    assert cleaned(gates, task_id) is (how == "sleep")
    slots_are_whole(desk, gates)


def test_a_step_past_its_own_time_is_tried_again(desk: Stack) -> None:
    """A slow answer may be a hiccup; after the last retry the run fails, and says that time was over."""
    once, always = (desk.submit("hasty", parameters={"slow_attempts": attempts}) for attempts in (1, 9))

    assert desk.wait(once)["result"]["output"] == 42
    error = desk.wait(always, "FAILURE")["error"]
    assert (error["type"], error["timed_out"], error["step"]) == ("StepTimeout", True, "answer")
    assert desk.task(always)["attempts"] == 2


def test_a_higher_run_takes_the_place_of_a_lower_one_at_once(desk: Stack, gates: Path) -> None:
    """Both slots sleep at the lowest level: one run makes way, says for whom, and goes on from its checkpoint later."""
    older, younger = (block(desk, gates, priority="low") for _ in range(2))
    urgent = desk.submit("three-steps", priority="high")
    assert desk.wait(urgent, seconds=5)["state"] == "SUCCESS"
    until(lambda: desk.task(younger)["attempts"] == 2, seconds=5, hint="the preempted run does not go on")

    task = desk.task(younger)
    assert (task["preemptions"], task["preempted_by"], task["status"]) == (1, urgent, "running")
    assert desk.types(younger)[2:] == ["step_completed", "preemption_requested", "preempted", "attempt_started"]
    assert cleaned(gates, younger)
    assert desk.task(older)["preemptions"] == 0
    cancel(desk, older, younger)


def test_as_many_runs_make_way_as_are_needed(gates: Path) -> None:
    """Six urgent runs meet four slots that are taken: the four in them make way once each, and all go on later."""
    with open_folder() as folder, Stack(folder / "home", BLOTTER_WORKER_CONCURRENCY="4") as stack:
        low = [block(stack, gates, priority="low") for _ in range(4)]
        high = [stack.submit("gated", priority="high", parameters={"gates": str(gates)}) for _ in range(6)]
        until(lambda: sum((gates / f"MSFT.{task_id}").exists() for task_id in high) == 4, hint="four are to run")
        assert [stack.task(task_id)["status"] for task_id in low] == ["preempted"] * 4
        (gates / "MSFT").touch()
        for task_id in high:
            stack.wait(task_id, "SUCCESS")
        until(lambda: all(stack.task(task_id)["attempts"] == 2 for task_id in low), hint="they do not go on")

        assert [stack.task(task_id)["preemptions"] for task_id in low] == [1] * 4
        cancel(stack, *low)


def test_a_preempted_run_is_cancelled_while_it_waits(desk: Stack, gates: Path) -> None:
    """It is cancelled at once, and does not come back when there is a slot."""
    low = [block(desk, gates, priority="low") for _ in range(2)]
    high = [block(desk, gates, priority="high") for _ in range(2)]
    waiting = [desk.wait(task_id, "PENDING") for task_id in low]
    assert [(task["status"], task["preemptions"]) for task in waiting] == [("preempted", 1)] * 2
    answer = desk.http.delete(f"/api/tasks/{low[0]}")
    cancel(desk, *high)
    until(lambda: desk.task(low[1])["attempts"] == 2, seconds=5)

    assert (answer.status_code, answer.json()["state"]) == (200, "REVOKED")
    assert desk.types(low[0])[-2:] == ["cancel_requested", "cancelled"]
    cancel(desk, low[1])


def test_a_run_that_trades_is_never_preempted(desk: Stack, gates: Path) -> None:
    """With both slots in a step with effect="orders" the urgent run waits, and each order is placed once."""
    trading = [desk.submit("trading", priority="low", parameters={"gates": str(gates)}) for _ in range(2)]
    until(lambda: all((gates / f"trading.{task_id}").exists() for task_id in trading))
    urgent = desk.submit("three-steps", priority="high")
    until(lambda: desk.task(urgent)["state"] == "PENDING" and desk.redis.llen("high"), hint="it is not in its queue")
    (gates / "open").touch()
    desk.wait(urgent, "SUCCESS")

    for task_id in trading:
        task = desk.wait(task_id, "SUCCESS")
        assert (task["preemptions"], task["attempts"], len(task["result"]["orders"])) == (0, 1, 1)


def test_a_retry_that_waits_is_cancelled(desk: Stack) -> None:
    """Nobody holds it: it is cancelled at once, and is not tried again."""
    task_id = desk.submit("faulty", parameters={"kind": "temporary", "failures": 3})
    desk.wait(task_id, "RETRY")
    answer = desk.http.delete(f"/api/tasks/{task_id}")

    assert (answer.status_code, desk.task(task_id)["state"]) == (200, "REVOKED")
    assert "attempt_started" not in desk.types(task_id)[desk.types(task_id).index("cancelled") :]


def test_a_cancelled_run_leaves_its_queue(desk: Stack, gates: Path) -> None:
    """The message of a waiting run is taken out of Redis, where people count what waits."""
    busy = [block(desk, gates, priority="high") for _ in range(2)]
    waiting = [desk.submit("three-steps", priority="low") for _ in range(3)]
    until(lambda: desk.redis.llen("low") == 3, hint="they are not in their queue")
    cancel(desk, waiting[1])
    until(lambda: desk.redis.llen("low") == 2, hint="the message of a cancelled run stays")
    cancel(desk, *busy)

    assert [desk.wait(task_id)["state"] for task_id in waiting] == ["SUCCESS", "REVOKED", "SUCCESS"]


def test_a_cancellation_that_races_with_its_run_is_obeyed_or_refused(desk: Stack) -> None:
    """At any moment of a short run, before its claim to after its end: what the answer says is what becomes of it.

    No other run is hit, and no child dies of an interrupt that comes between two runs.
    """
    children, chance, pause = children_of_worker(desk), random.Random(4), threading.Event()
    answers: dict[str, int] = {}
    bystanders = []
    for _ in range(RACES):
        task_id = desk.submit("steady", parameters={"seconds": 0.004})
        bystanders.append(desk.submit("steady", parameters={"seconds": 0.001}))
        pause.wait(chance.random() * 0.06)
        answers[task_id] = desk.http.delete(f"/api/tasks/{task_id}").status_code
    expected = {200: "REVOKED", 202: "REVOKED", 409: "SUCCESS"}

    for task_id, code in answers.items():
        assert desk.wait(task_id)["state"] == expected[code], desk.types(task_id)
        assert sum(each in ("cancelled", "succeeded") for each in desk.types(task_id)) == 1
    assert set(answers.values()) == set(expected), "not every kind of race has taken place"
    assert {desk.wait(task_id)["state"] for task_id in bystanders} == {"SUCCESS"}
    assert {desk.task(task_id)["attempts"] for task_id in bystanders} == {1}
    assert children_of_worker(desk) == children


def children_of_worker(stack: Stack) -> set[int]:
    """Return the pids of the worker's pool."""
    (worker,) = [each for each in stack.record.processes if each.name == "worker"]
    return {child.pid for child in psutil.Process(worker.pid).children()}
