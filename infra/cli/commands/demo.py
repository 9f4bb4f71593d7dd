"""`blotter demo`: one run of the flagship strategy, from the start of the stack to its stop."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from rich.console import Console

from infra.cli.failures import CommandError
from infra.cli.output import console, say
from infra.cli.reports import kept, outcome, times
from infra.cli.settings import gateway, local_home
from infra.cli.watching import watch
from infra.local import record
from infra.local.display import Display
from infra.local.failures import tail
from infra.local.home import Home
from infra.local.record import Phase, StackRecord
from infra.local.spawn import spawn

STRATEGY = "multi-timeframe"
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
# After the close of this day some symbols had turned back into the trend of their weeks, upwards and downwards.
PARAMETERS = {"as_of": "2013-01-08"}
_LOOK_SECONDS = 0.1


def demo() -> None:
    """Start the stack (unless it runs), trade the flagship strategy on real prices, report, stop what was started."""
    to = console()
    began = time.monotonic()
    with _running_stack(to) as url, gateway(url) as client:
        say(to, f"Submitting {STRATEGY} on {', '.join(SYMBOLS)} as of {PARAMETERS['as_of']}.")
        body = {"strategy_id": STRATEGY, "symbols": SYMBOLS, "parameters": PARAMETERS, "priority": "high"}
        task_id = str(client.post("/api/tasks", body)["task_id"])
        task = watch(client, task_id, to)
        outcome(to, task)
        kept(to, url, task)
        times(to, task, list(client.items(f"/api/tasks/{task_id}/steps")))
        say(to, f"Its record: {url}/api/tasks/{task_id} (events below /events)")
    if task["state"] != "SUCCESS":
        error = task.get("error") or {}
        raise CommandError(f"The demo's task ended as {task['state']}: {error.get('message', 'see its record')}")
    say(to, f"Done in {time.monotonic() - began:.1f} s. `blotter up` starts the stack to stay.")


@contextlib.contextmanager
def _running_stack(to: Console) -> Iterator[str]:
    """The URL of the stack in BLOTTER_HOME: the one that runs, or one that runs as long as the context."""
    home = local_home()
    running = record.read(home.record) if home.supervisor() else None
    if running is not None and running.phase == Phase.READY:
        say(to, f"Using the stack that runs at {running.url}.")
        yield running.url
        return
    home.make()
    log = home.log("up")
    log.unlink(missing_ok=True)
    process = spawn([sys.executable, "-m", "infra.cli", "up"], log=log, death_signal=signal.SIGTERM)
    display = Display(to)
    try:
        yield _await_ready(home, process, display)
    finally:
        display.settle()
        _stop(process, display)


def _await_ready(home: Home, process: subprocess.Popen[bytes], display: Display) -> str:
    while not _ended(process, _LOOK_SECONDS):
        found = _record_of(home, process)
        if found is not None:
            display.show(f"starting ({display.seconds():.0f} s)", found.processes)
            if found.phase == Phase.READY:
                display.settle()
                display.say(f"Ready after {display.seconds():.1f} s at {found.url}")
                return found.url
    raise CommandError(f"The stack did not start:\n{tail(home.log('up'), 40)}")


def _stop(process: subprocess.Popen[bytes], display: Display) -> None:
    """Stop in order; each Ctrl-C meanwhile is handed on, which makes it quick."""
    if process.poll() is None:
        display.say("Stopping the stack.")
        process.send_signal(signal.SIGTERM)
    while True:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
        else:
            return


def _record_of(home: Home, process: subprocess.Popen[bytes]) -> StackRecord | None:
    found = record.read(home.record)
    return found if found is not None and found.supervisor_pid == process.pid else None


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
