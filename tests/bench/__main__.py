"""Throughput and latency of the work W3 (three steps on a small dict) on a stack of its own: `make bench`.

A burst is submitted in batches over HTTP; runs a second are counted from the first submission to the last success.
Latency is that of single runs on an idle stack, from the submission's commit to the success's. Recovery is the time
from the kill -9 of a worker until the run that it had goes on with another one.
"""

import argparse
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.bench.cancelling import busy_workers, cancel_all, cancel_one, fill
from tests.e2e.stack import Stack
from tests.e2e.workers import worker
from tests.servers import open_folder
from tests.waiting import until

STRATEGY = "three-steps"
BATCH = 500


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000, help="runs in a burst")
    arguments.add_argument("--bursts", type=int, default=3, help="bursts; the median counts")
    arguments.add_argument("--singles", type=int, default=200, help="single runs for the latency")
    arguments.add_argument("--deaths", type=int, default=20, help="workers killed for the time to recover")
    arguments.add_argument(
        "--queued", type=int, default=10_000, help="tasks that are queued when one or all are cancelled"
    )
    chosen = arguments.parse_args()
    with open_folder() as folder, Stack(folder / "home") as stack:
        burst(stack, 50)
        rates = [burst(stack, chosen.runs) for _ in range(chosen.bursts)]
        print(f"throughput, {chosen.runs} runs: median {statistics.median(rates):.0f} runs/s of {_rounded(rates)}")
        latencies = sorted(single(stack) / timedelta(milliseconds=1) for _ in range(chosen.singles))
        print(f"idle latency, {chosen.singles} runs: p50 {_at(latencies, 50):.1f} ms, p99 {_at(latencies, 99):.1f} ms")
        recoveries = sorted(recovery(stack, folder) for _ in range(chosen.deaths))
        print(f"recovery, {chosen.deaths} deaths: p50 {_at(recoveries, 50):.2f} s, p99 {_at(recoveries, 99):.2f} s")
        with busy_workers(stack, folder):
            cancelling(stack, chosen.queued, chosen.bursts, chosen.singles)


def cancelling(stack: Stack, queued: int, bursts: int, singles: int) -> None:
    """Measure how long it takes to cancel all queued tasks, or one of few and one of many, and print it."""
    for answered, followed in (cancel_all(stack, queued) for _ in range(bursts)):
        print(f"cancelling {queued} queued tasks at once: {answered:.2f} s, known everywhere after {followed:.2f} s")
    for number in (singles, queued):
        ids = fill(stack, number, f"one of {number}")
        each = sorted(cancel_one(stack, task_id) * 1000 for task_id in ids[-singles:])
        print(f"cancelling one of {number} queued tasks: p50 {_at(each, 50):.1f} ms, p99 {_at(each, 99):.1f} ms")


def burst(stack: Stack, runs: int) -> float:
    """Return the runs a second of a burst."""
    tasks: list[dict[str, Any]] = []
    for begin in range(0, runs, BATCH):
        body = [{"strategy_id": STRATEGY, "symbols": ["MSFT"]}] * min(BATCH, runs - begin)
        answer = stack.http.post("/api/tasks/batch", json={"tasks": body}, timeout=60)
        answer.raise_for_status()
        tasks += answer.json()["items"]
    wanted = {task["task_id"] for task in tasks}
    ended = until(lambda: _ended(stack, wanted), seconds=300, every=0.5, hint="the burst does not end")
    return runs / (max(ended) - min(_time(task["submitted_at"]) for task in tasks)).total_seconds()


def single(stack: Stack) -> timedelta:
    """Return how long one run takes on an idle stack."""
    task = stack.wait(stack.submit(STRATEGY), "SUCCESS")
    return _time(task["finished_at"]) - _time(task["submitted_at"])


def recovery(stack: Stack, folder: Path) -> float:
    """Return the seconds from the death of a run's worker to its second attempt, with another worker standing by."""
    gates = folder / str(uuid4())
    gates.mkdir()
    with worker(stack, f"doomed-{gates.name}") as doomed:
        busy = [stack.submit("gated", "AAPL", parameters={"gates": str(gates)}) for _ in range(4)]
        until(lambda: all((gates / f"AAPL.{task}").exists() for task in busy), seconds=60)
        mine = next(task for task in busy if doomed.name in str(stack.task(task)["worker"]))
        died_at = datetime.now(UTC)
        doomed.kill()
        (gates / "AAPL").touch()
        stack.wait(mine, "SUCCESS", seconds=60)
    started = [event for event in stack.events(mine) if event["type"] == "execution.attempt_started"]
    return (_time(started[1]["at"]) - died_at).total_seconds()


def _ended(stack: Stack, wanted: set[str]) -> list[datetime] | None:
    """Return when each of the wanted runs succeeded, once all have."""
    open_tasks = stack.http.get("/api/tasks?limit=1&status=queued").json()["items"]
    if open_tasks:
        return None
    finished: dict[str, datetime] = {}
    cursor: str | None = None
    while len(finished) < len(wanted):
        page = stack.http.get("/api/tasks", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        for task in page["items"]:
            if task["task_id"] in wanted:
                if task["state"] != "SUCCESS":
                    return None
                finished[task["task_id"]] = _time(task["finished_at"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return list(finished.values()) if len(finished) == len(wanted) else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _at(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def _rounded(rates: list[float]) -> str:
    return ", ".join(f"{rate:.0f}" for rate in rates)


if __name__ == "__main__":
    main()
