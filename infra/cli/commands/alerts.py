"""`blotter alerts`: what is wrong, and saying that one looks after it."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

import typer

from infra.cli.alert_reports import alerts as report
from infra.cli.arguments import AsJson, Url
from infra.cli.output import console, say
from infra.cli.settings import gateway

app = typer.Typer(help="What is wrong; saying that one looks after it.")

All = Annotated[bool, typer.Option("--all", help="Those that are resolved, too.")]
AlertId = Annotated[str, typer.Argument(metavar="ID", help="As `blotter alerts` shows it.")]
Note = Annotated[str | None, typer.Option(help="Kept with the alert, and shown to others.")]


@app.callback(invoke_without_command=True)
def show(context: typer.Context, everything: All = False, as_json: AsJson = False, url: Url = None) -> None:
    """Show what is wrong, raised last first; the newest 500 at most."""
    if context.invoked_subcommand is not None:
        return
    query = {"limit": "500"} if everything else {"limit": "500", "active": "true"}
    with gateway(url) as client:
        answer = client.get("/api/alerts", **query)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        report(console(), answer)


@app.command()
def acknowledge(alert: AlertId, note: Note = None, url: Url = None) -> None:
    """Say that you know of an alert and look after it."""
    query = {} if note is None else {"note": note}
    with gateway(url) as client:
        answer = client.post(f"/api/alerts/{quote(alert, safe='')}/acknowledge", query=query)
    say(console(), f"{answer['summary']}: acknowledged by {answer['acknowledged_by']}")
