"""A machine that is gone and comes back: its network is cut, while all else goes on."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.stack import Stack
from tests.e2e.workers import Worker, node_name, worker
from tests.proxy import Proxy
from tests.servers import open_folder
from tests.waiting import until

GOES_ON_SECONDS = 10
COMES_BACK_SECONDS = 60


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack whose own worker has two slots."""
    with open_folder() as folder, Stack(folder / "home") as stack:
        yield stack


class Machine:
    """A machine with one worker of one slot, and a network cable."""

    def __init__(self, stack: Stack, resources: ExitStack) -> None:
        self._cables = []
        urls = {}
        for name in ("DATABASE_URL", "REDIS_URL"):
            url = urlsplit(stack.environment[name])
            cable = resources.enter_context(Proxy(str(url.hostname), int(url.port or 0)))
            self._cables.append(cable)
            urls[name] = cable.url_of(url.geturl())
        self.worker: Worker = resources.enter_context(worker(stack, "remote", BLOTTER_WORKER_CONCURRENCY="1", **urls))
        self.node_name = node_name(stack, "remote")

    def unplug(self) -> None:
        """Cut every connection, and let no new one through."""
        for cable in self._cables:
            cable.cut()

    def plug_in(self) -> None:
        """Have a network again."""
        for cable in self._cables:
            cable.mend()


@pytest.fixture
def machine(stack: Stack) -> Iterator[Machine]:
    """Another machine."""
    with ExitStack() as resources:
        yield Machine(stack, resources)


def begin(stack: Stack, gates: Path, *symbols: str) -> str:
    """Start a gated run, and wait until it stands before its last symbol."""
    task_id = stack.submit("gated", *symbols, parameters={"gates": str(gates)})
    until((gates / f"{symbols[-1]}.{task_id}").exists)
    return task_id


def test_a_run_whose_machine_is_gone_goes_on_elsewhere_and_the_machine_is_refused_when_it_is_back(
    stack: Stack, machine: Machine, gates: Path
) -> None:
    """Cut off, it finishes its symbol for nothing; back on the network, the log refuses that, and it takes new runs."""
    (gates / "AAPL").touch()
    runs = [begin(stack, gates, "AAPL", "MSFT") for _ in range(3)]
    (mine,) = [task_id for task_id in runs if stack.task(task_id)["worker"] == machine.node_name]
    machine.unplug()
    (gates / "MSFT").touch()
    task = stack.wait(mine, "SUCCESS", seconds=GOES_ON_SECONDS)
    machine.plug_in()

    assert (task["attempts"], task["worker"] == machine.node_name) == (2, False)
    until(
        lambda: "execution.attempt_lost" in machine.worker.output.read_text(),
        seconds=COMES_BACK_SECONDS,
        hint="what it did for nothing was not refused",
    )
    busy = [begin(stack, gates, "AAPL", "IBM") for _ in range(3)]
    assert machine.node_name in [stack.task(task_id)["worker"] for task_id in busy]
    (gates / "IBM").touch()
    assert {stack.wait(task_id)["state"] for task_id in [*runs, *busy]} == {"SUCCESS"}
    completed = [e["data"]["symbol"] for e in stack.events(mine) if e["type"] == "execution.step_completed"]
    assert sorted(map(str, completed)) == ["AAPL", "MSFT", "None"]
