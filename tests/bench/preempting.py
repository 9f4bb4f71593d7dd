"""What preemption costs and gives: `python -m tests.bench.preempting`.

A storm: low runs take every slot, and urgent ones come in bursts, of the high level and the normal one in turn. The
same storm with preemption switched off is the measure of what is lost. Then the wait of single high runs, from their
submission to their start, while every slot is taken by a low one.
"""

import argparse
import collections
import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.e2e.blocked_runs import block, cancel
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.waiting import until

SLOTS = 2
STEP_SECONDS = 0.1
STEPS = 3
PERIOD = timedelta(seconds=STEP_SECONDS * STEPS * 2)
"""Time between two bursts of as many runs as there are slots: urgent work takes half of what the slots can do."""

SETTINGS = {"BLOTTER_WORKER_CONCURRENCY": str(SLOTS)}


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What became of the runs of a storm, by id, and of their steps."""

    tasks: dict[str, dict[str, Any]]
    completed: collections.Counter[tuple[str, str]]

    @property
    def seconds(self) -> float:
        """Return the time from the first start to the last end."""
        ended = max(_time(task["finished_at"]) for task in self.tasks.values())
        return (ended - min(_time(task["started_at"]) for task in self.tasks.values())).total_seconds()

    @property
    def rate(self) -> float:
        """Return the runs a second."""
        return len(self.tasks) / self.seconds

    @property
    def preemptions(self) -> int:
        """Return how often a run made way."""
        return sum(task["preemptions"] for task in self.tasks.values())

    def of_level(self, level: str) -> list[dict[str, Any]]:
        """Return the runs of one level."""
        return [task for task in self.tasks.values() if task["priority"] == level]

    def latency(self, level: str) -> float:
        """Return the median time from submission to end of a level's runs, in seconds."""
        tasks = self.of_level(level)
        return statistics.median(
            (_time(task["finished_at"]) - _time(task["submitted_at"])).total_seconds() for task in tasks
        )


def storm(stack: Stack, *, bursts: int) -> Storm:
    """Submit as much low work as the bursts leave room for, then the bursts, and wait until all have ended."""
    parameters = {"seconds": STEP_SECONDS}
    ids = [stack.submit("steady", priority="low", parameters=parameters) for _ in range(SLOTS * bursts)]
    pause = threading.Event()
    for number in range(bursts):
        pause.wait(PERIOD.total_seconds())
        level = ("high", "normal")[number % 2]
        ids += [stack.submit("steady", priority=level, parameters=parameters) for _ in range(SLOTS)]
    tasks = {task_id: stack.wait(task_id, seconds=120) for task_id in ids}
    completed = collections.Counter(
        (task_id, str(event["data"]["step"]))
        for task_id in ids
        for event in stack.events(task_id)
        if event["type"] == "execution.step_completed"
    )
    return Storm(tasks=tasks, completed=completed)


def wait_of_an_urgent_run(stack: Stack, folder: Path) -> float:
    """Return the seconds from the submission of a high run to its start, with every slot taken by a low one."""
    traces = folder / str(uuid4())
    traces.mkdir()
    low = [block(stack, traces, priority="low") for _ in range(SLOTS)]
    task = stack.wait(stack.submit("three-steps", priority="high"), "SUCCESS")
    until(lambda: all(stack.task(task_id)["state"] == "STARTED" for task_id in low))
    cancel(stack, *low)
    return (_time(task["started_at"]) - _time(task["submitted_at"])).total_seconds()


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.preempting", description=__doc__)
    arguments.add_argument("--bursts", type=int, default=30)
    arguments.add_argument("--rounds", type=int, default=100)
    chosen = arguments.parse_args()
    with open_folder() as folder, Stack(folder / "home", **SETTINGS, BLOTTER_PREEMPTION_LIMIT="0") as stack:
        without = measured("without", stack, chosen.bursts)
    with open_folder() as folder, Stack(folder / "home", **SETTINGS) as stack:
        with_it = measured("with", stack, chosen.bursts)
        waits = [wait_of_an_urgent_run(stack, folder) * 1000 for _ in range(chosen.rounds)]
    print(f"throughput with preemption: {with_it.rate / without.rate:.0%} of that without")
    figures = ", ".join(f"p{percent} {percentile(waits, percent):.0f} ms" for percent in (50, 99, 100))
    print(f"wait of a high run with every slot taken by a low one, {chosen.rounds} rounds: {figures}")


def measured(how: str, stack: Stack, bursts: int) -> Storm:
    """Have a storm and print its figures."""
    found = storm(stack, bursts=bursts)
    medians = ", ".join(f"{level} {found.latency(level):.2f} s" for level in ("high", "normal", "low"))
    print(f"storm {how} preemption: {found.rate:.2f} runs/s, {found.preemptions} preemptions; median latency {medians}")
    return found


if __name__ == "__main__":
    main()
