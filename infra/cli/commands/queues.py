"""`blotter queues`: what waits in each level, and pausing one."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infra.cli.arguments import AsJson, Priority, Url
from infra.cli.client import Json
from infra.cli.output import console, say
from infra.cli.queue_reports import queues as report
from infra.cli.settings import gateway

app = typer.Typer(help="What waits in the queues; pausing and resuming them.")

Level = Annotated[Priority, typer.Argument(metavar="LEVEL", help="high, normal or low.")]
Reason = Annotated[str | None, typer.Option(help="Kept with the queue, and shown to those who wait.")]


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    """Show what waits in each queue and for how long, who takes it, and which are paused."""
    if context.invoked_subcommand is not None:
        return
    with gateway(url) as client:
        answer = client.get("/api/queues")
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        report(console(), answer)


@app.command()
def pause(level: Level, reason: Reason = None, url: Url = None) -> None:
    """Have the tasks of a level wait; those that run go on."""
    state = _change(level, "pause", reason, url)
    why = f": {state['pause_reason']}" if state["pause_reason"] else ""
    say(console(), f"{level.value} is paused by {state['paused_by']} since {state['paused_at']}{why}")


@app.command()
def resume(level: Level, reason: Reason = None, url: Url = None) -> None:
    """Let the tasks of a level have their turns again."""
    _change(level, "resume", reason, url)
    say(console(), f"{level.value} is not paused")


def _change(level: Priority, verb: str, reason: str | None, url: str | None) -> Json:
    query = {} if reason is None else {"reason": reason}
    with gateway(url) as client:
        return client.post(f"/api/queues/{level.value}/{verb}", query=query)
