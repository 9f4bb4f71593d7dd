"""The record of a running stack, `stack.json`: written by the supervisor, read by `blotter status`."""

from __future__ import annotations

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec


class Phase(StrEnum):
    """Where a stack is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ProcessState(StrEnum):
    """Where a process is in its life.

    `given` is a server that we neither start nor stop; one that has `left` was told to, and is not started again.
    """

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    KILLED = "killed"
    LEFT = "left"
    GIVEN = "given"


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One process; `last_exit` is the code of its latest end (negative: the signal)."""

    name: str
    state: ProcessState
    pid: int | None = None
    port: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    last_exit: int | None = None


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole stack. The URLs hold passwords."""

    phase: Phase
    supervisor_pid: int
    started_at: datetime
    url: str
    database_url: str
    redis_url: str
    ports: dict[str, int] = {}
    processes: list[ProcessRecord] = []


def read(file: Path) -> StackRecord | None:
    """The record, or nothing if there is none that can be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=StackRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def write(file: Path, record: StackRecord) -> None:
    """Replace the record at once: a reader sees the old one or the new one; nobody else may read it."""
    fresh = file.with_name(file.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    fresh.replace(file)
