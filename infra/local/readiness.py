"""Wait until a process answers, or say why it did not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from infra.local.failures import ServerError, tail

_BETWEEN_PROBES_SECONDS = 0.01


def await_ready(
    process: subprocess.Popen[bytes], probe: Callable[[], bool], *, name: str, within: timedelta, log: Path
) -> None:
    """Return once `probe` is true; `ServerError` if the process ends first or the time is up."""
    give_up_at = time.monotonic() + within.total_seconds()
    while not probe():
        if _ends_within(process, _BETWEEN_PROBES_SECONDS):
            raise ServerError(f"{name} ended with code {process.returncode} at start. {log}:\n{tail(log)}")
        if time.monotonic() > give_up_at:
            raise ServerError(f"{name} was not ready within {within.total_seconds():g} s. {log}:\n{tail(log)}")


def end(process: subprocess.Popen[bytes], gently: int, *, within: timedelta) -> bool:
    """Send the signal `gently` and wait; kill after `within`. True if it ended by itself."""
    if process.poll() is None:
        process.send_signal(gently)
    if _ends_within(process, within.total_seconds()):
        return True
    process.kill()
    process.wait()
    return False


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
