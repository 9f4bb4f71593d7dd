"""`blotter up`, `down`, `status`: the local stack."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console

from infra.cli.failures import CommandError, UnreachableError
from infra.cli.output import console, say, table
from infra.cli.settings import local_home
from infra.local import record
from infra.local.display import Display, PatientConsole
from infra.local.record import ProcessRecord, StackRecord
from infra.local.settings import LocalSettings

STOPPED_WITHIN = timedelta(seconds=120)


def up() -> None:
    """Start everything on this machine and keep it running; Ctrl-C stops it."""
    from infra.local.stack import up as run_stack  # it needs Alembic, which would make every command slow

    run_stack(LocalSettings.from_environment(), Display(PatientConsole(highlight=False)))


def down() -> None:
    """Stop the stack that runs in BLOTTER_HOME, and wait until it has ended."""
    home = local_home()
    pid = home.supervisor()
    if pid is None:
        say(console(), f"No stack runs in {home.path}.")
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    lock = home.open_lock()
    try:
        if not lock.take(within=STOPPED_WITHIN):
            raise CommandError(
                f"The stack in {home.path} did not end within {STOPPED_WITHIN.total_seconds():g} s: "
                f"see {home.path / 'logs'}, or end its supervisor with `kill -9 {pid}`."
            )
    finally:
        lock.close()
    say(console(), f"Stopped the stack in {home.path}.")


def status() -> None:
    """Show what runs, where it listens, and how often it was restarted."""
    home = local_home()
    running = record.read(home.record) if home.supervisor() else None
    if running is None:
        raise UnreachableError(f"No stack runs in {home.path}: start one with `blotter up`.")
    to = console()
    say(to, f"{running.phase.value} at {running.url} (supervisor pid {running.supervisor_pid}, {_age(running)})")
    columns = ["process", "state", "pid", "port", "restarts", "last exit"]
    table(to, f"Stack in {home.path}", columns, [_row(process) for process in running.processes])
    _urls(to, running)


def _urls(to: Console, running: StackRecord) -> None:
    """The passwords are shown to a person at a terminal only, not written into logs by a pipe."""
    if sys.stdout.isatty():
        say(to, f"DATABASE_URL={running.database_url}")
        say(to, f"REDIS_URL={running.redis_url}")
    else:
        say(to, f"The servers' URLs are in {local_home().record}.")


def _row(process: ProcessRecord) -> tuple[object, ...]:
    return (process.name, process.state.value, process.pid, process.port, process.restarts, process.last_exit)


def _age(running: StackRecord) -> str:
    return f"up for {timedelta(seconds=int((datetime.now(UTC) - running.started_at).total_seconds()))}"
