"""One large run: `python -m tests.chaos.large_run`. Five hundred symbols through three parallel steps, a worker killed.

Every member completes once, what was finished is not repeated, the join has them all, and no process grows with them.
"""

import argparse
import sys
import time
from collections import Counter

import psutil

from tests.e2e.stack import Stack
from tests.e2e.test_branches import at_work, calls, completed
from tests.e2e.workers import node_name, worker
from tests.servers import open_folder
from tests.waiting import until

STEPS = ("load", "check", "rate")
SLOTS = 2


def main() -> int:
    """Run, kill, count, print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos.large_run", description=__doc__)
    arguments.add_argument("--symbols", type=int, default=500)
    chosen = arguments.parse_args()
    symbols = [f"S{number}" for number in range(chosen.symbols)]
    with open_folder() as folder, Stack(folder / "home") as stack:
        traces = folder / "traces"
        traces.touch()
        with worker(stack, "doomed", BLOTTER_WORKER_CONCURRENCY=str(SLOTS)) as doomed:
            name = node_name(stack, "doomed")
            before, began = _memory(stack), time.monotonic()
            task_id = stack.submit("fanning", *symbols, parameters={"traces": str(traces), "seconds": 0.02})
            until(lambda: any(row["worker"] == name for row in at_work(stack, task_id, "check")), seconds=120)
            doomed.kill()
            task = stack.wait(task_id, seconds=600)
        seconds, after = time.monotonic() - began, _memory(stack)
        called, done = calls(traces), completed(stack, task_id)
    counts = {
        "members": len(set(done)),
        "members completed twice": len(done) - len(set(done)),
        "members missing": len({(step, symbol) for step in STEPS for symbol in symbols} - set(done)),
        "calls beyond one": sum(called.values()) - len(called),
        "joined symbols": task["result"]["output"][0],
    }
    print(f"{seconds:.1f} s with a worker killed in the second step")
    for what, count in counts.items():
        print(f"{count:>8}  {what}")
    for process in before:
        print(f"{process:>12}: {before[process] >> 20} MiB before, {after[process] >> 20} MiB after")
    wrong = counts["members completed twice"] or counts["members missing"] or counts["calls beyond one"] > SLOTS
    return 1 if wrong or counts["joined symbols"] != len(symbols) else 0


def _memory(stack: Stack) -> Counter[str]:
    """Return what each process and its children use alone, in bytes (USS)."""
    used: Counter[str] = Counter()
    for each in stack.record.processes:
        if each.pid is not None and each.name in ("worker", "dispatcher", "projector", "gateway"):
            process = psutil.Process(each.pid)
            used[each.name] = sum(one.memory_full_info().uss for one in [process, *process.children(recursive=True)])
    return used


if __name__ == "__main__":
    sys.exit(main())
