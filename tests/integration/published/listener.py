"""A subscriber as a process: writes down each event that it has handled, one JSON document a line.

`python -m tests.integration.published.listener <redis url> <group> <file> <consumer>`. On an event whose data, or whose
task's labels, hold `stall` it writes `<file>.stalled` and hangs, once; on `fail` it raises, each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.published.streams import STREAMS
from shared.published.subscription import Subscription

CHECKOUT = Path(__file__).resolve().parents[3]
LONGEST = timedelta(milliseconds=500)
DELIVERIES = 2


class Listener:
    """A running listener, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], notes: Path) -> None:
        """Watch a process that writes to `notes`."""
        self.process = process
        self.notes = notes

    @property
    def stalled(self) -> bool:
        """Whether it hangs in a handler."""
        return self.notes.with_suffix(".stalled").exists()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


@contextmanager
def listening(redis_url: str, group: str, notes: Path, *, consumer: str = "listener") -> Iterator[Listener]:
    """Run a listener for as long as the context lasts."""
    command = [sys.executable, "-m", "tests.integration.published.listener", redis_url, group, str(notes), consumer]
    process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)})
    try:
        yield Listener(process, notes)
    finally:
        process.kill()
        process.wait()


def handled(notes: Path) -> list[dict[str, Any]]:
    """Return the events in `notes`; a line that is not whole yet is left out."""
    if not notes.exists():
        return []
    return [json.loads(line) for line in notes.read_text().splitlines(keepends=True) if line.endswith("\n")]


def listener(redis_url: str, group: str, notes: Path, consumer: str) -> Subscription:
    """Return the subscription of a listener."""
    subscription = Subscription(redis_url, group=group, consumer=consumer)

    @subscription.handler(*STREAMS, longest=LONGEST, deliveries=DELIVERIES)
    async def on_event(event: dict[str, Any]) -> None:
        told = event["data"].get("labels") or event["data"]
        if "fail" in told:
            raise RuntimeError("told to fail")
        stalled = notes.with_suffix(".stalled")
        if "stall" in told and not stalled.exists():
            stalled.touch()
            await asyncio.Event().wait()
        with notes.open("a") as file:
            file.write(json.dumps(event) + "\n")

    return subscription


def main() -> None:
    """Listen until SIGTERM."""
    redis_url, group, notes, consumer = sys.argv[1:]
    asyncio.run(listener(redis_url, group, Path(notes), consumer).run())


if __name__ == "__main__":
    main()
