"""`blotter notifications`: what you are told of, and by which channels."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infra.cli.arguments import AsJson, Url
from infra.cli.client import Json
from infra.cli.output import console, say, table
from infra.cli.settings import gateway

app = typer.Typer(help="What you are told of, and by which channels.")

_PATH = "/api/me/notifications"


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    """Show what you are told of, and by which channels."""
    if context.invoked_subcommand is not None:
        return
    with gateway(url) as client:
        found = client.get(_PATH)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _report(found)


@app.command()
def set(
    channel: Annotated[
        list[str] | None, typer.Option(help="An Apprise URL such as slack://... or mailto://...; may be repeated.")
    ] = None,
    type: Annotated[list[str] | None, typer.Option(help="Such as task.failed or 'alert.*'; may be repeated.")] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Of everybody's tasks, for admins.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the channels that are there.")] = False,
    url: Url = None,
) -> None:
    """Say what you are told of, and how; this replaces what was said before."""
    with gateway(url) as client:
        kept = [{"channel_id": each["channel_id"]} for each in client.get(_PATH)["channels"]] if keep else []
        body = {
            "channels": [*kept, *({"url": each} for each in channel or ())],
            "types": type or None,
            "scope": "all" if everybody else None,
        }
        _report(client.put(_PATH, body))


def _report(found: Json) -> None:
    whose = "everybody's" if found["scope"] == "all" else "your own"
    say(console(), f"You are told of {', '.join(found['types'])} ({whose}).")
    if not found["channels"]:
        say(console(), "There is no channel: add one with `blotter notifications set --channel URL`.")
        return
    table(console(), "Channels", ["id", "kind"], [(each["channel_id"], each["scheme"]) for each in found["channels"]])
