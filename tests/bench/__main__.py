"""Throughput and latency of the work W3 (three steps on a small dict) on a stack of its own: `make bench`.

A burst is submitted in batches over HTTP; runs a second are counted from the first submission to the last success.
Latency is that of single runs on an idle stack, from the submission's commit to the success's.
"""

import argparse
import statistics
from datetime import datetime, timedelta
from typing import Any

from tests.e2e.stack import Stack
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
    chosen = arguments.parse_args()
    with open_folder() as folder, Stack(folder / "home") as stack:
        burst(stack, 50)
        rates = [burst(stack, chosen.runs) for _ in range(chosen.bursts)]
        print(f"throughput, {chosen.runs} runs: median {statistics.median(rates):.0f} runs/s of {_rounded(rates)}")
        latencies = sorted(single(stack) / timedelta(milliseconds=1) for _ in range(chosen.singles))
        print(f"idle latency, {chosen.singles} runs: p50 {_at(latencies, 50):.1f} ms, p99 {_at(latencies, 99):.1f} ms")


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
