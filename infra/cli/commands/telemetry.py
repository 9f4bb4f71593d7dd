"""`blotter trace` and `blotter logs`: where a task's time went, and what was logged for it."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import Annotated

import typer

from infra.cli import telemetry_reports as reports
from infra.cli.arguments import AsJson, Url
from infra.cli.client import Client
from infra.cli.output import console, say
from infra.cli.settings import gateway
from infra.cli.watching import FINAL

BETWEEN_POLLS_SECONDS = 0.5
LINGER_SECONDS = 2.0
"""How long lines of a task that has ended are waited for: they are kept about a second after they were logged."""


class Level(StrEnum):
    """The levels of log lines, lowest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


_Task = Annotated[str, typer.Argument(help="The id that submit printed.")]


def trace(task: _Task, as_json: AsJson = False, url: Url = None) -> None:
    """Show where a task's time went, from the request to the last order."""
    with gateway(url) as client:
        found = client.get(f"/api/tasks/{task}/trace")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif found["spans"]:
        reports.waterfall(console(), found)
    else:
        say(console(), found["reason"])


def logs(
    task: _Task,
    level: Annotated[Level | None, typer.Option(help="The lowest level to show.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the task has ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each, for programs.")] = False,
    url: Url = None,
) -> None:
    """Show what was logged for a task, by the system and by its own steps."""
    wanted = {} if level is None else {"level": level.value}
    to = console()
    after: str | None = None
    with gateway(url) as client:
        give_up_at: float | None = None
        while True:
            if follow and give_up_at is None and _has_ended(client, task):
                give_up_at = time.monotonic() + LINGER_SECONDS
            while True:
                page = client.get(f"/api/tasks/{task}/logs", **wanted, **({"after": after} if after else {}))
                for line in page["items"]:
                    after = line["cursor"]
                    typer.echo(json.dumps(line)) if as_json else say(to, reports.line(line))
                if page["next_cursor"] is None:
                    break
            if not follow or (give_up_at is not None and time.monotonic() > give_up_at):
                return
            time.sleep(BETWEEN_POLLS_SECONDS)


def _has_ended(client: Client, task: str) -> bool:
    return client.get(f"/api/tasks/{task}")["state"] in FINAL
