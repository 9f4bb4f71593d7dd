"""All processes of a session: a service, its children, and theirs.

Every process of the stack leads a session of its own, and its descendants stay in it unless they ask to leave, even
when their parent has died. So a session is what is left to be ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def members(sessions: Iterable[int]) -> list[psutil.Process]:
    """The living processes of these sessions (their leaders too)."""
    wanted = set(sessions)
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) in wanted:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def signal_all(sessions: Iterable[int], number: signal.Signals) -> list[psutil.Process]:
    """Send a signal to every member; answer those it was sent to."""
    targets = members(sessions)
    for process in targets:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    return targets


def kill_leftovers(session: int) -> int:
    """Kill what a process left behind when it ended; answer how many that were."""
    killed = 0
    while targets := signal_all([session], signal.SIGKILL):  # again: one may have forked in between
        killed += len(targets)
        psutil.wait_procs(targets, timeout=1)
    return killed
