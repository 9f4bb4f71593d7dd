"""What runs survive, caused for real on a stack of its own: processes and servers killed with -9, a wiped Redis."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.record import ProcessState
from shared.heartbeats import PREFIX
from tests.e2e.stack import Stack
from tests.e2e.workers import node_name, worker
from tests.projection_check import differences
from tests.servers import open_folder
from tests.waiting import until

GOES_ON_SECONDS = 15


@pytest.fixture(scope="module")
def mortal() -> Iterator[Stack]:
    """A stack whose processes may be killed."""
    with open_folder() as folder, Stack(folder / "home") as stack:
        yield stack


def pid_of(stack: Stack, name: str) -> int:
    """Return the pid of a process that runs."""
    (process,) = [each for each in stack.record.processes if each.name == name]
    assert process.state is ProcessState.RUNNING
    assert process.pid is not None
    return process.pid


def children_of_worker(stack: Stack) -> list[int]:
    """Return the pids of the worker's pool."""
    return [child.pid for child in psutil.Process(pid_of(stack, "worker")).children()]


def heartbeat(stack: Stack) -> str:
    """Return what the worker says of itself."""
    (key,) = stack.redis.keys(f"{PREFIX}*")
    return str(stack.redis.get(key))


def begin(stack: Stack, gates: Path, *symbols: str) -> str:
    """Start a gated run, let it pass all symbols but the last, and wait until it stands before that one."""
    task_id = stack.submit("gated", *symbols, parameters={"gates": str(gates)})
    for symbol in symbols[:-1]:
        (gates / symbol).touch()
    until((gates / f"{symbols[-1]}.{task_id}").exists)
    return task_id


def goes_on(stack: Stack, gates: Path, task_id: str, last: str) -> None:
    """Open the last gate once the run is at work again, and check that no completed symbol ran twice."""
    until(lambda: stack.task(task_id)["attempts"] == 2, seconds=GOES_ON_SECONDS, hint="no second attempt")
    (gates / last).touch()
    task = stack.wait(task_id, "SUCCESS")

    assert task["attempts"] == 2
    completed = [e["data"]["symbol"] for e in stack.events(task_id) if e["type"] == "execution.step_completed"]
    assert sorted(map(str, completed)) == sorted([*task["symbols"], "None"])
    (lost,) = [event for event in stack.events(task_id) if event["type"] == "execution.worker_lost"]
    assert lost["data"]["reason"]


def test_a_run_survives_the_death_of_its_worker(mortal: Stack, gates: Path) -> None:
    """kill -9 of the worker and its children: the run goes on from the symbol it was at, on the restarted worker."""
    task_id = begin(mortal, gates, "AAPL", "IBM", "MSFT")
    worker = psutil.Process(pid_of(mortal, "worker"))
    for process in [*worker.children(recursive=True), worker]:
        process.kill()

    goes_on(mortal, gates, task_id, "MSFT")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_run_survives_the_death_of_its_child(mortal: Stack, gates: Path, number: signal.Signals) -> None:
    """kill -9, or a kill that a step can see: the worker says so at once, has new ones soon, and no step has failed."""
    before = set(children_of_worker(mortal))
    task_id = begin(mortal, gates, "AAPL", "MSFT")
    assert len(before) == 2
    until(lambda: task_id in heartbeat(mortal), seconds=5, hint="the worker does not say that it has the run")
    for child in before:
        os.kill(child, number)

    until(lambda: len(children_of_worker(mortal)) == 2, seconds=5, hint="the pool is not whole")
    goes_on(mortal, gates, task_id, "MSFT")
    (lost,) = [event for event in mortal.events(task_id) if event["type"] == "execution.worker_lost"]
    assert lost["data"]["reason"].endswith("died")


def test_a_run_survives_a_cold_shutdown_of_its_worker(mortal: Stack, gates: Path) -> None:
    """SIGQUIT has Celery end its processes in the middle of what they do: another worker goes on with it."""
    fillers = [begin(mortal, gates, "AAPL", "IBM") for _ in range(2)]
    with worker(mortal, "hurried") as hurried:
        node_name(mortal, "hurried")
        task_id = begin(mortal, gates, "AAPL", "MSFT")
        hurried.process.send_signal(signal.SIGQUIT)
        hurried.exit_code()
    (gates / "IBM").touch()

    goes_on(mortal, gates, task_id, "MSFT")
    assert {mortal.wait(each)["attempts"] for each in fillers} == {1}


def test_a_stopped_worker_that_wakes_up_cannot_write_any_more(mortal: Stack, gates: Path) -> None:
    """SIGSTOP is death to the others: the run goes on elsewhere, and the log refuses what the sleeper brings."""
    task_id = begin(mortal, gates, "AAPL", "MSFT")
    worker = psutil.Process(pid_of(mortal, "worker"))
    family = [worker, *worker.children(recursive=True)]
    for process in family:
        process.suspend()
    until(lambda: "worker_lost" in mortal.types(task_id), seconds=GOES_ON_SECONDS, hint="the silence goes unnoticed")
    for process in family:
        process.resume()

    goes_on(mortal, gates, task_id, "MSFT")
    until(lambda: "execution.attempt_lost" in mortal.log_of("worker"), hint="the sleeper was not refused")


def test_a_dispatcher_that_dies_loses_nothing(mortal: Stack) -> None:
    """kill -9 between submissions: what it had not sent is sent by the next one, and every run ends."""
    first = [mortal.submit("three-steps") for _ in range(20)]
    os.kill(pid_of(mortal, "dispatcher"), signal.SIGKILL)
    second = [mortal.submit("three-steps") for _ in range(20)]

    assert {mortal.wait(task, seconds=60)["state"] for task in [*first, *second]} == {"SUCCESS"}


def test_a_projector_that_dies_catches_up(mortal: Stack) -> None:
    """kill -9: answers come from the log meanwhile, and then the tables equal it again."""
    os.kill(pid_of(mortal, "projector"), signal.SIGKILL)
    tasks = [mortal.submit("three-steps") for _ in range(10)]

    assert {mortal.wait(task)["state"] for task in tasks} == {"SUCCESS"}
    until(
        lambda: differences(mortal.record.database_url) == [], seconds=30, every=0.5, hint="tables differ from the log"
    )


def test_a_wiped_redis_loses_no_run(mortal: Stack, gates: Path) -> None:
    """FLUSHALL with runs at work and waiting: all of them end, the one at work in its first attempt."""
    working = begin(mortal, gates, "AAPL", "MSFT")
    blocked = begin(mortal, gates, "IBM", "MSFT")
    waiting = [mortal.submit("three-steps") for _ in range(30)]
    mortal.redis.flushall()
    (gates / "MSFT").touch()

    assert {mortal.wait(task, seconds=60)["state"] for task in [working, blocked, *waiting]} == {"SUCCESS"}
    assert {mortal.task(task)["attempts"] for task in (working, blocked)} == {1}


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_server_that_dies_and_comes_back_loses_no_run(mortal: Stack, gates: Path, server: str) -> None:
    """kill -9 of PostgreSQL or Redis with runs at work and waiting: all of them end, and nothing is done twice."""
    working = begin(mortal, gates, "AAPL", "MSFT")
    waiting = [mortal.submit("three-steps") for _ in range(10)]
    os.kill(pid_of(mortal, server), signal.SIGKILL)
    until(lambda: restarted(mortal, server), seconds=30, hint=f"{server} does not come back")
    (gates / "MSFT").touch()

    assert {mortal.wait(task, seconds=60)["state"] for task in [working, *waiting]} == {"SUCCESS"}
    completed = [e["data"]["symbol"] for e in mortal.events(working) if e["type"] == "execution.step_completed"]
    assert sorted(map(str, completed)) == ["AAPL", "MSFT", "None"]


def restarted(stack: Stack, server: str) -> bool:
    """Tell whether a server runs again after its death."""
    (process,) = [each for each in stack.record.processes if each.name == server]
    return process.restarts > 0 and process.state is ProcessState.RUNNING
