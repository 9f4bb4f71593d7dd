"""The watchdog, which ends what a killed supervisor has left, without help of the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.watchdog import Watchdog
from tests.integration.infra.stacks import living

GRANDCHILD = "import signal; signal.pause()"
FAMILY = (
    "import signal, subprocess, sys; "
    f"subprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}]); print('up', flush=True); signal.pause()"
)


def family() -> list[psutil.Process]:
    """A process that leads a session of its own, and its child."""
    leader = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    leader.stdout.readline()
    parent = psutil.Process(leader.pid)
    return [parent, *parent.children()]


@pytest.fixture
def watched() -> Iterator[list[psutil.Process]]:
    """A family that is gone after the test in any case."""
    processes = family()
    yield processes
    for process in processes:
        if process.is_running():
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def test_when_the_pipe_closes_whole_sessions_end(watched: list[psutil.Process], tmp_path: Path) -> None:
    """The child whom nobody told it about is in its parent's session."""
    watchdog = Watchdog(tmp_path / "log")
    watchdog.watch(watched[0].pid, signal.SIGKILL)
    assert len(watched) == 2
    watchdog.close()
    assert living(watched, within=5) == []


def test_a_forgotten_session_is_spared(watched: list[psutil.Process], tmp_path: Path) -> None:
    """It has ended, and its number may belong to somebody else."""
    watchdog = Watchdog(tmp_path / "log")
    watchdog.watch(watched[0].pid, signal.SIGKILL)
    watchdog.forget(watched[0].pid)
    watchdog.close()
    assert living(watched, within=0) == watched


def test_a_killed_watchdog_is_replaced_by_one_that_knows_as_much(watched: list[psutil.Process], tmp_path: Path) -> None:
    """The next word to it starts a new one, and it is told of all that is watched."""
    watchdog = Watchdog(tmp_path / "log")
    watchdog.watch(watched[0].pid, signal.SIGKILL)
    former = watchdog.pid
    os.kill(former, signal.SIGKILL)
    assert living([psutil.Process(former)], within=5) == []

    watchdog.forget(0)

    assert watchdog.pid != former
    watchdog.close()
    assert living(watched, within=5) == []
