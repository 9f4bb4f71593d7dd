"""What steps side by side cost: `python -m tests.bench.branching`.

Runs of five symbols and three parallel steps (W5x), beside plain Celery doing the same with groups whose results
are handed on by chords, on the same servers with as many slots. Then one run of many symbols, for the cost of a member.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psutil
import redis
from celery import chain, group

from tests.bench.plain_celery import app, collect, work
from tests.e2e.stack import CHECKOUT, Stack
from tests.servers import open_folder
from tests.waiting import until

SLOTS = 2
SYMBOLS = [f"S{number}" for number in range(5)]
STEPS = 3


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.branching", description=__doc__)
    arguments.add_argument("--runs", type=int, default=200, help="runs of five symbols in a burst")
    arguments.add_argument("--bursts", type=int, default=3, help="bursts; the median counts")
    arguments.add_argument("--symbols", type=int, default=500, help="symbols of the one large run")
    chosen = arguments.parse_args()
    with open_folder() as folder, Stack(folder / "home", BLOTTER_WORKER_CONCURRENCY=str(SLOTS)) as stack:
        ours(stack, 20)
        rates = [ours(stack, chosen.runs) for _ in range(chosen.bursts)]
        _tell("blotter, 5 symbols x 3 parallel steps", rates)
        print(f"  a member and its share of the join: {1000 / (statistics.median(rates) * 15):.2f} ms")
        seconds, before, after = one_large_run(stack, chosen.symbols)
        members = chosen.symbols * STEPS
        print(f"one run of {chosen.symbols} x 3: {seconds:.1f} s, {members / seconds:.0f} members/s")
        print(f"  memory of the worker's processes: {before >> 20} MiB before, {after >> 20} MiB after")
        with plain_celery(stack.record.redis_url):
            theirs(chosen.runs // 10)
            _tell("celery, the same with chords", [theirs(chosen.runs) for _ in range(chosen.bursts)])
            members_a_second = [alone(chosen.symbols * STEPS) for _ in range(chosen.bursts)]
            print(f"celery, one group: median {statistics.median(members_a_second):.0f} members/s")


def ours(stack: Stack, runs: int) -> float:
    """Return the runs a second of a burst."""
    body = [{"strategy_id": "fanning-w5x", "symbols": SYMBOLS}] * runs
    answer = stack.http.post("/api/tasks/batch", json={"tasks": body}, timeout=60)
    answer.raise_for_status()
    tasks = [stack.wait(item["task_id"], seconds=600) for item in answer.json()["items"]]
    assert {task["state"] for task in tasks} == {"SUCCESS"}
    began = min(_time(task["submitted_at"]) for task in tasks)
    return runs / (max(_time(task["finished_at"]) for task in tasks) - began).total_seconds()


def one_large_run(stack: Stack, symbols: int) -> tuple[float, int, int]:
    """Return the seconds of a run of many symbols, and the worker's memory before and after it, in bytes (USS)."""
    before = _memory(stack)
    task = stack.wait(stack.submit("fanning-w5x", *(f"S{number}" for number in range(symbols))), seconds=600)
    assert task["state"] == "SUCCESS"
    assert task["progress"]["completed_steps"] == STEPS
    return (_time(task["finished_at"]) - _time(task["submitted_at"])).total_seconds(), before, _memory(stack)


def _memory(stack: Stack) -> int:
    (worker,) = [each for each in stack.record.processes if each.name == "worker"]
    assert worker.pid is not None
    process = psutil.Process(worker.pid)
    return sum(each.memory_full_info().uss for each in [process, *process.children(recursive=True)])


@contextmanager
def plain_celery(redis_url: str) -> Iterator[None]:
    """Run a plain Celery worker with as many slots until the end of the block."""
    url = f"{redis_url.rsplit('/', 1)[0]}/9"
    app.conf.update(broker_url=url, result_backend=url)
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.plain_celery", "worker", f"--concurrency={SLOTS}"]
    process = subprocess.Popen(
        [*command, "--loglevel=ERROR"],
        cwd=CHECKOUT,
        env={**os.environ, "PLAIN_CELERY_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: app.control.inspect(timeout=1).ping(), seconds=30, hint="plain Celery does not answer")
        yield
    finally:
        process.terminate()
        process.wait()
        redis.Redis.from_url(url).flushdb()


def theirs(runs: int) -> float:
    """Return the runs a second of a burst of three chords each, the body of one handing on to the next."""
    stage = [work.s(symbol) for symbol in SYMBOLS]
    began = time.monotonic()
    ends = [
        chain(*(step for _ in range(STEPS) for step in (group(stage), collect.s()))).apply_async() for _ in range(runs)
    ]
    for end in ends:
        end.get(timeout=300)
    return runs / (time.monotonic() - began)


def alone(members: int) -> float:
    """Return the members a second of one group, awaited by who sent it."""
    began = time.monotonic()
    group(work.s(f"S{number}") for number in range(members)).apply_async().get(timeout=300)
    return members / (time.monotonic() - began)


def _tell(what: str, rates: list[float]) -> None:
    print(f"{what}: median {statistics.median(rates):.1f} runs/s of {', '.join(f'{rate:.1f}' for rate in rates)}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
