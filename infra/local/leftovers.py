"""End what an earlier supervisor left behind, if it and its watchdog were both killed."""

from __future__ import annotations

import contextlib
import signal
from datetime import timedelta

import psutil

from infra.local import record
from infra.local.home import Home
from infra.local.programs import POSTGRES, VALKEY
from infra.local.record import ProcessRecord
from infra.local.sessions import members

_END_WITHIN = timedelta(seconds=20)
_GENTLY = {POSTGRES: signal.SIGINT, VALKEY: signal.SIGTERM}


def clear(home: Home) -> int:
    """End the processes that the last record names and that are still ours; answer how many there were.

    Call it under the lock of the home: then none of them belongs to a running stack.
    """
    last = record.read(home.record)
    found = []
    for former in [] if last is None else last.processes:
        found += _end(home, former)
    _, alive = psutil.wait_procs(found, timeout=_END_WITHIN.total_seconds())
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return len(found)


def _end(home: Home, former: ProcessRecord) -> list[psutil.Process]:
    if former.pid is None:
        return []
    found = [process for process in members([former.pid]) if _is_ours(home, process)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(_GENTLY.get(former.name, signal.SIGKILL))
    return found


def _is_ours(home: Home, process: psutil.Process) -> bool:
    """A pid may belong to a stranger by now: ours have our folder in their environment or arguments."""
    folders = (str(home.postgres), str(home.valkey))
    with contextlib.suppress(psutil.Error):
        if process.environ().get("BLOTTER_HOME") == str(home.path):
            return True
    with contextlib.suppress(psutil.Error):
        return any(argument.startswith(folders) for argument in process.cmdline())
    return False
