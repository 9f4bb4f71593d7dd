"""Workers beside those of a stack, as on other machines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.stack import Stack
from tests.waiting import until

READY_SECONDS = 30


@dataclass
class Worker:
    """A worker of this name; what it logs is in `output`."""

    name: str
    process: psutil.Process
    output: Path

    def kill(self) -> None:
        """Kill it with its children, as a machine that is gone."""
        for each in [*self.process.children(recursive=True), self.process]:
            each.kill()


@contextmanager
def worker(stack: Stack, name: str, **environment: str) -> Iterator[Worker]:
    """Run one more worker of this name until the end of the block; it may die before."""
    output = stack.home.log(name)
    settings = {**stack.environment, "BLOTTER_WORKER_NAME": f"{name}@%h", **environment}
    with output.open("ab") as log:
        command = [sys.executable, "-m", "services.executor.worker"]
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=subprocess.STDOUT)
    started = Worker(name, psutil.Process(process.pid), output)
    try:
        yield started
    finally:
        if process.poll() is None:
            started.kill()
        process.wait()


def node_name(stack: Stack, name: str) -> str:
    """Wait until a worker of this name consumes, and return the name that it has among Celery's."""
    workers = stack.celery.control.inspect(timeout=1)

    def joined() -> str | None:
        return next((node for node in workers.active_queues() or {} if node.startswith(f"{name}@")), None)

    return until(joined, seconds=READY_SECONDS, hint=f"{name} does not join") or ""
