"""`blotter workers`: who runs tasks, and having one of them leave."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

import typer

from infra.cli import worker_reports as reports
from infra.cli.arguments import AsJson, Url
from infra.cli.output import console, say
from infra.cli.settings import gateway

app = typer.Typer(help="The workers that live, and those that did lately.", invoke_without_command=True)


@app.callback()
def workers(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    """List the workers that live, and those that did lately: their states, what they have in hand, what they use."""
    if context.invoked_subcommand is not None:
        return
    with gateway(url) as client:
        found = client.get("/api/workers")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif found["items"]:
        reports.listing(console(), found["items"])
    else:
        say(console(), "There are no workers, and were none lately.")


@app.command()
def drain(
    name: Annotated[str, typer.Argument(help="As `blotter workers` lists it.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Have a worker take nothing more, finish what it has in hand, and leave; for admins."""
    with gateway(url) as client:
        worker = client.post(f"/api/workers/{quote(name, safe='')}/drain")
    if as_json:
        typer.echo(json.dumps(worker, indent=2))
    else:
        say(console(), reports.drain_line(worker))
