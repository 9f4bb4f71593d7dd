"""A strategy that is changed while a run of it is at work, on a stack of its own."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import CHECKOUT, Stack
from tests.servers import open_folder
from tests.waiting import until

BEFORE = (CHECKOUT / "tests" / "strategies" / "gated.py").read_text()
RETIRED = BEFORE.replace("parameters=Parameters)", "parameters=Parameters, retired=True)")
AFTER = BEFORE.replace("def joined(", "def listed(").replace('"+".join(passed.values())', '", ".join(passed)')


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    """A folder of strategies with one file in it."""
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "gated.py").write_text(BEFORE)
    return folder


@pytest.fixture
def changing(strategies: Path) -> Iterator[Stack]:
    """A stack that runs these strategies only."""
    with open_folder() as folder, Stack(folder / "home", BLOTTER_STRATEGIES=str(strategies)) as stack:
        yield stack


def kill(stack: Stack, name: str) -> None:
    """kill -9 of a process of the stack and of all its children; the supervisor starts it again."""
    (pid,) = [process.pid for process in stack.record.processes if process.name == name]
    assert pid is not None
    family = psutil.Process(pid)
    for process in [*family.children(recursive=True), family]:
        process.kill()


def steps_of(stack: Stack) -> list[str]:
    """Return the steps of the strategy that new submissions get."""
    return [step["name"] for step in stack.http.get("/api/strategies/gated").json()["steps"]]


def completed(stack: Stack, task_id: str) -> list[tuple[str, str | None]]:
    """Return the step and symbol of each completion in the log."""
    events = [event["data"] for event in stack.events(task_id) if event["type"] == "execution.step_completed"]
    return [(data["step"], data.get("symbol")) for data in events]


def test_a_run_outlives_a_change_of_its_strategy(changing: Stack, strategies: Path, gates: Path) -> None:
    """It ends by the definition that it began with, on a worker that has both; a new run gets the new steps."""
    task_id = changing.submit("gated", "AAPL", "MSFT", parameters={"gates": str(gates)})
    (gates / "AAPL").touch()
    until((gates / f"MSFT.{task_id}").exists)

    (strategies / "gated_before.py").write_text(RETIRED)
    (strategies / "gated.py").write_text(AFTER)
    kill(changing, "worker")
    kill(changing, "dispatcher")
    until(lambda: steps_of(changing) == ["passed", "listed"], seconds=30, hint="the new definition is not published")
    (gates / "MSFT").touch()
    ended = changing.wait(task_id)
    again = changing.wait(changing.submit("gated", "AAPL", "MSFT", parameters={"gates": str(gates)}))

    assert (ended["state"], ended["attempts"], ended["result"]["output"]) == ("SUCCESS", 2, "aapl+msft")
    assert completed(changing, task_id) == [("passed", "AAPL"), ("passed", "MSFT"), ("joined", None)]
    assert (again["state"], again["result"]["output"]) == ("SUCCESS", "AAPL, MSFT")
    assert changing.http.get("/api/strategies").json()["broken"] == []
