"""A worker that kills itself with SIGKILL at a line of its own code.

`python -m tests.integration.executor.doomed_worker` loads the strategies once and forks a child for each attempt that
it is asked for, one a line of JSON on its standard input, as Celery's pool does. The program that it runs knows nothing
of it: the lines are seen by Python's own tracing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any
from uuid import UUID

import httpx
import msgspec

from services.executor.contexts import Contexts, World
from services.executor.runner import Runner
from services.executor.stamps import utc_now
from shared.alpaca import connect
from shared.log.event_log import EventLog
from shared.market_data.files import FileMarketData
from shared.objects.local import LocalObjectStore
from shared.result_backend import ResultMeta
from shared.trading.alpaca import AlpacaBroker
from shared.workflow.registry import Registry, load_strategies
from tests.venue import KEY

Line = tuple[str, int]
"""The end of a file's name, and a line in it."""


class AttemptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to run; `traced` ends the names of the files to watch, `kill_at` is the line before which it dies."""

    task_id: UUID
    attempt: int
    database_url: str
    venue_url: str
    objects: str
    traced: tuple[str, ...]
    refuses_duplicates: bool = True
    kill_at: Line | None = None


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempt ended: the signal that killed it, if one did, and the lines it was about to run, once each."""

    signal: int
    exit_code: int
    lines: tuple[Line, ...]


class TrustfulBroker(AlpacaBroker):
    """An adapter that does not say that its venue refuses a second order of one id: nothing may be sent twice."""

    refuses_duplicates = False


class NoBoard:
    """Progress that nobody looks at."""

    def put(self, meta: ResultMeta, *, ttl_seconds: float) -> None:
        """Forget it."""


class DoomedWorker:
    """The process, as a test holds it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, request: AttemptRequest) -> Death:
        """Run one attempt to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(request) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Death)


@contextmanager
def doomed_worker() -> Iterator[DoomedWorker]:
    """Start the process; it ends with the context."""
    command = [sys.executable, "-m", "tests.integration.executor.doomed_worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield DoomedWorker(process)
        finally:
            process.kill()


def watch(request: AttemptRequest, report: int) -> None:
    """Write each new line of the traced files to `report` before it runs, and die at the one that was asked for."""
    seen: set[Line] = set()

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            name = next(name for name in request.traced if frame.f_code.co_filename.endswith(name))
            line = (name, frame.f_lineno)
            if line not in seen:
                seen.add(line)
                os.write(report, msgspec.json.encode(line) + b"\n")
            if line == request.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    wanted: dict[CodeType, bool] = {}

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in wanted:
            wanted[code] = code.co_filename.endswith(request.traced)
        return on_line if wanted[code] else None

    sys.settrace(on_call)


@lru_cache
def client_of(venue_url: str) -> httpx.Client:
    """Return a client without connections, made before the fork because making one is slow."""
    return connect(venue_url, KEY)


def run_attempt(request: AttemptRequest, registry: Registry) -> None:
    """Run the attempt in this process, as a worker's child does."""
    adapter = AlpacaBroker if request.refuses_duplicates else TrustfulBroker
    contexts = Contexts(
        objects=LocalObjectStore(request.objects),
        registry=registry,
        world=World(
            market_data=FileMarketData,
            broker=lambda: adapter(client_of(request.venue_url)),
            http=httpx.Client,
        ),
        now=utc_now,
    )
    runner = Runner(log=EventLog(request.database_url), contexts=contexts, board=NoBoard(), now=utc_now)
    assert runner.run(request.task_id, request.attempt, worker="executor@doomed")


def in_child(request: AttemptRequest, registry: Registry) -> Death:
    """Fork, run the attempt there, and tell how it ended."""
    client_of(request.venue_url)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            if request.traced:
                watch(request, writing)
            run_attempt(request, registry)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as lines:
        seen = tuple(msgspec.json.decode(line, type=Line) for line in lines)
    _, status = os.waitpid(child, 0)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Death(signal=killed, exit_code=0 if killed else os.WEXITSTATUS(status), lines=seen)


def main() -> None:
    """Answer each request with a `Death`, until there are none."""
    # What the attempts log goes to standard error, so that answers come alone.
    answers = open(os.dup(sys.stdout.fileno()), "wb", buffering=0)  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    registry = load_strategies("strategies", entry_points=False)
    for line in sys.stdin.buffer:
        death = in_child(msgspec.json.decode(line, type=AttemptRequest), registry)
        answers.write(msgspec.json.encode(death) + b"\n")


if __name__ == "__main__":
    main()
