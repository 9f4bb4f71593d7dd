"""The `blotter` command.

Exit codes: 0 done, 1 the run or the stack failed, 2 bad usage or refused, 3 nothing answers, 130 Ctrl-C.
"""

from __future__ import annotations

import sys

import typer

from infra.cli.commands import (
    alerts,
    cleanup,
    database,
    demo,
    doctor,
    metrics,
    notifications,
    objects,
    queues,
    schedules,
    stack,
    tasks,
    telemetry,
    webhooks,
    worker,
    workers,
)
from infra.cli.failures import CommandError, RefusedError
from infra.local.failures import AlreadyRunningError, LocalError, PortTakenError, SettingsError

app = typer.Typer(
    name="blotter",
    help="Trading workflows as durable tasks, with the whole record in one append-only log.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    stack.up,
    stack.down,
    stack.status,
    doctor.doctor,
    database.migrate,
    database.rebuild,
    cleanup.cleanup,
    tasks.submit,
    tasks.show,
    tasks.events,
    tasks.cancel,
    tasks.retry,
    tasks.rerun,
    telemetry.trace,
    telemetry.logs,
    demo.demo,
    metrics.metrics,
    worker.worker,
):
    app.command()(command)
app.add_typer(schedules.app, name="schedule")
app.add_typer(queues.app, name="queues")
app.add_typer(alerts.app, name="alerts")
app.add_typer(workers.app, name="workers")
app.add_typer(objects.app, name="objects")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(notifications.app, name="notifications")


def main() -> None:
    """Run the command of `sys.argv`; a failure is one line on standard error and an exit code."""
    try:
        app()
    except CommandError as error:
        _leave(str(error), error.exit_code)
    except (AlreadyRunningError, PortTakenError, SettingsError) as error:
        _leave(str(error), RefusedError.exit_code)
    except LocalError as error:
        _leave(str(error), CommandError.exit_code)


def _leave(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
