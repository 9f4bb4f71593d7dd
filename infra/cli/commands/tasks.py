"""`blotter submit`, `show`: tasks."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from infra.cli.failures import CommandError, RefusedError
from infra.cli.output import console, say
from infra.cli.reports import report
from infra.cli.settings import gateway
from infra.cli.watching import watch as watch_task

Url = Annotated[str | None, typer.Option(help="Address of the gateway; by default that of the local stack.")]


class Priority(StrEnum):
    """The three levels."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def submit(
    strategy: Annotated[str, typer.Argument(help="Its id, as `GET /api/strategies` lists it.")],
    symbols: Annotated[list[str], typer.Argument(help="One or more symbols.")],
    priority: Annotated[Priority, typer.Option(help="Its place in the queues.")] = Priority.NORMAL,
    parameters: Annotated[str, typer.Option(help="A JSON object, for example '{\"fast\": 10}'.")] = "{}",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end and report.")] = False,
    url: Url = None,
) -> None:
    """Submit a task; prints its id."""
    body = {
        "strategy_id": strategy,
        "symbols": symbols,
        "priority": priority.value,
        "parameters": _object(parameters),
    }
    with gateway(url) as client:
        task_id = str(client.post("/api/tasks", body)["task_id"])
        to = console()
        say(to, task_id)
        if not watch:
            return
        task = watch_task(client, task_id, to)
        report(to, task, list(client.items(f"/api/tasks/{task_id}/steps")))
    if task["state"] != "SUCCESS":
        raise CommandError(f"The task ended as {task['state']}.")


def show(
    task: Annotated[str, typer.Argument(help="The id that submit printed.")],
    as_json: Annotated[bool, typer.Option("--json", help="The gateway's answer, for programs.")] = False,
    url: Url = None,
) -> None:
    """Show a task: its state, result, and where the time went."""
    with gateway(url) as client:
        found = client.get(f"/api/tasks/{task}")
        if as_json:
            typer.echo(json.dumps(found, indent=2))
            return
        report(console(), found, list(client.items(f"/api/tasks/{task}/steps")))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RefusedError(f'--parameters is not JSON ({error}): write an object, such as {{"fast": 10}}.') from None
    if not isinstance(value, dict):
        raise RefusedError('--parameters is not a JSON object: write one, such as {"fast": 10}.')
    return value
