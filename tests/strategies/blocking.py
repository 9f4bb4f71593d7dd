"""A step that blocks in the way that its run names, for tests that interrupt it."""

import hashlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
from pydantic import BaseModel

from shared.workflow import Context, Workflow


class Parameters(BaseModel):
    """`how` it blocks, and the folder in which it leaves its traces."""

    how: str
    traces: str


workflow = Workflow("blocking", title="A step that blocks", parameters=Parameters, max_retries=0)


def _sleep(_: Context) -> None:
    time.sleep(3600)


def _read_socket(_: Context) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def _get(ctx: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection, and never answers
        ctx.http.get(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=httpx.Timeout(3600))


def _run_process(_: Context) -> None:
    subprocess.run(["sleep", "3600"], check=True)


def _take_lock(_: Context) -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


def _compute(_: Context) -> None:
    matrix = np.ones((64, 64))
    while True:
        matrix = matrix @ matrix / 64


def _swallow_exceptions(_: Context) -> None:
    while True:
        with suppress(Exception):
            time.sleep(3600)


def _swallow_everything(_: Context) -> None:
    while True:
        with suppress(BaseException):
            time.sleep(3600)


def _call_into_c(_: Context) -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2**31 - 1)


def _look(ctx: Context) -> None:
    pause = threading.Event()
    while not pause.wait(0.01):
        ctx.checkpoint()


def _await_file(ctx: Context) -> None:
    while not (Path(ctx.parameters.traces) / "released").exists():
        time.sleep(0.01)


WAYS: dict[str, Callable[[Context], None]] = {
    "sleep": _sleep,
    "socket": _read_socket,
    "httpx": _get,
    "subprocess": _run_process,
    "lock": _take_lock,
    "numpy": _compute,
    "except Exception": _swallow_exceptions,
    "except BaseException": _swallow_everything,
    "C": _call_into_c,
    "checkpoint": _look,
    "file": _await_file,
}


@workflow.step
def first(ctx: Context[Parameters]) -> int:
    """Is done before anything blocks."""
    return 1


@workflow.step
def block(ctx: Context[Parameters], first: int) -> None:
    """Leave a file `began.<task>`, block, and leave `cleaned.<task>` on the way out."""
    traces = Path(ctx.parameters.traces)
    try:
        (traces / f"began.{ctx.task_id}").touch()
        WAYS[ctx.parameters.how](ctx)
    finally:
        (traces / f"cleaned.{ctx.task_id}").touch()
