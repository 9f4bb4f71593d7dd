"""`blotter worker`: one more worker, beside the stack or on another machine."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from infra.cli.modules import DATABASE, REDIS, environment
from infra.cli.worker_queues import queues_of

_MODULE = "services.executor.worker"


class Pool(StrEnum):
    """The two kinds of slots."""

    PREFORK = "prefork"
    THREADS = "threads"


def worker(
    queues: Annotated[
        str | None,
        typer.Option(help="Serve these alone, comma-separated: high, normal, low, maintenance. By default all."),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=256, help="Tasks at once.")] = None,
    pool: Annotated[Pool | None, typer.Option(help="A process for each task, or a thread.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Unique among all workers; without @ the host's name is added. By default new.")
    ] = None,
) -> None:
    """Run one more worker in the foreground: for the stack of BLOTTER_HOME, or DATABASE_URL and REDIS_URL.

    It joins by itself. Ctrl-C, SIGTERM or `blotter workers drain` have it finish what it has in hand, and end.
    """
    chosen = {
        "BLOTTER_WORKER_NAME": _node(name or f"worker-{os.getpid()}"),
        "BLOTTER_WORKER_QUEUES": queues_of(queues) if queues is not None else None,
        "BLOTTER_WORKER_CONCURRENCY": str(concurrency) if concurrency is not None else None,
        "BLOTTER_WORKER_POOL": pool,
    }
    settings = environment(DATABASE, REDIS) | {key: value for key, value in chosen.items() if value is not None}
    # In this process, not below it: signals reach the worker itself.
    os.execve(sys.executable, [sys.executable, "-m", _MODULE], settings)


def _node(name: str) -> str:
    return name if "@" in name else f"{name}@%h"
