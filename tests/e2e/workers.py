"""Workers beside those of a stack, as on other machines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.stack import BLOTTER, CHECKOUT, Stack
from tests.waiting import until

READY_SECONDS = 30
LEAVES_SECONDS = 30


@dataclass
class Worker:
    """A worker of this name; what it logs is in `output`."""

    name: str
    process: psutil.Process
    output: Path
    popen: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill it with its children, as a machine that is gone."""
        for each in [*self.process.children(recursive=True), self.process]:
            each.kill()

    def exit_code(self, *, seconds: float = LEAVES_SECONDS) -> int:
        """Wait until it has ended, and return its exit code."""
        return self.popen.wait(seconds)


@contextmanager
def started(stack: Stack, *options: str) -> Iterator[Worker]:
    """Run `blotter worker` with these options until the end of the block, as a user beside the stack does."""
    surroundings = {key: value for key, value in stack.environment.items() if not key.endswith("_URL")}
    with _running(stack, "started", [str(BLOTTER), "worker", "--name", "started", *options], surroundings) as running:
        yield running


@contextmanager
def worker(stack: Stack, name: str, **environment: str) -> Iterator[Worker]:
    """Run one more worker of this name until the end of the block; it may die before."""
    settings = {**stack.environment, "BLOTTER_WORKER_NAME": f"{name}@%h", **environment}
    with _running(stack, name, [sys.executable, "-m", "services.executor.worker"], settings) as running:
        yield running


@contextmanager
def _running(stack: Stack, name: str, command: list[str], environment: dict[str, str]) -> Iterator[Worker]:
    output = stack.home.log(name)
    with output.open("ab") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    running = Worker(name, psutil.Process(process.pid), output, process)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.kill()
        process.wait()


def node_name(stack: Stack, name: str) -> str:
    """Wait until a worker of this name consumes, and return the name that it has among Celery's."""
    workers = stack.celery.control.inspect(timeout=1)

    def joined() -> str | None:
        return next((node for node in workers.active_queues() or {} if node.startswith(f"{name}@")), None)

    return until(joined, seconds=READY_SECONDS, hint=f"{name} does not join") or ""


def seen(stack: Stack, name: str) -> dict[str, Any]:
    """Return what `GET /api/workers` tells of the worker of this name, nothing if it does not."""
    items = stack.http.get("/api/workers").json()["items"]
    return next((item for item in items if item["name"].startswith(f"{name}@")), {})


def await_state(stack: Stack, name: str, state: str, *, seconds: float = READY_SECONDS) -> dict[str, Any]:
    """Wait until a worker is in a state, and return what is told of it then."""
    hint = f"{name} is not {state}"
    until(lambda: seen(stack, name).get("state") == state, seconds=seconds, hint=hint)
    return seen(stack, name)


def drain(stack: Stack, name: str) -> None:
    """Have the worker of this name leave."""
    answer = stack.http.post(f"/api/workers/{seen(stack, name)['name']}/drain")
    assert answer.status_code == 202, answer.text
