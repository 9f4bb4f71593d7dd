"""The examples of docs/workers.md, run as a reader would run them."""

from __future__ import annotations

import re
import shlex
import subprocess

from services.executor.queues import CONSUMED
from services.executor.settings import ExecutorSettings
from tests.docs.pages import commands, run
from tests.e2e.stack import CHECKOUT, Stack
from tests.e2e.workers import LEAVES_SECONDS, await_state

PAGE = "docs/workers.md"


def test_the_commands_of_the_page_start_show_and_drain_a_worker(stack: Stack) -> None:
    """One after the other; the first one stays in the foreground until the last one has the worker leave."""
    start, *others = commands(PAGE)
    process = subprocess.Popen(shlex.split(start), cwd=CHECKOUT, env=stack.environment, stdout=subprocess.DEVNULL)
    try:
        await_state(stack, "reserved", "online")
        for command in others:
            done = run(stack, command)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "reserved@desk" in done.stdout
        assert process.wait(LEAVES_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    assert await_state(stack, "reserved", "offline")["queues"] == []


def test_every_setting_of_the_page_has_its_default() -> None:
    """By its name, as the service reads it."""
    told = dict(
        re.findall(r"^\| `(BLOTTER_WORKER_\w+)` \| `?([^`|]+)`? \|", (CHECKOUT / PAGE).read_text(), re.MULTILINE)
    )
    fields = ExecutorSettings.model_fields
    defaults = {name: fields[name.removeprefix("BLOTTER_").lower()].default for name in told}
    defaults = {name: "all" if value == ",".join(CONSUMED) else value for name, value in defaults.items()}
    assert told == {
        name: f"{value:g}" if isinstance(value, float) else str(value or "none") for name, value in defaults.items()
    }
