"""`blotter submit`, `show`, `events`, `cancel`, `retry`, `rerun`: tasks."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from infra.cli.arguments import AsJson, Priority, Url, json_object
from infra.cli.client import Client
from infra.cli.failures import CommandError, RefusedError
from infra.cli.output import console, say, table
from infra.cli.reports import report
from infra.cli.settings import gateway
from infra.cli.watching import watch as watch_task

GOES_ON = {
    "PENDING": "goes on from where it ended",
    "STARTED": "its branches that wait for a retry go on at once",
    "RETRY": "its retry is due",
}
"""By the state after a retry, what it did: a task that waited for its first worker would have been refused."""

MANY_SECONDS = 120.0
"""How long the cancellation of many tasks may take."""


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
        "parameters": json_object(parameters),
    }
    with gateway(url) as client:
        _submitted(client, str(client.post("/api/tasks", body)["task_id"]), watch=watch)


def show(
    task: Annotated[str, typer.Argument(help="The id that submit printed.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show a task: its state, result, and where the time went."""
    with gateway(url) as client:
        found = client.get(f"/api/tasks/{task}")
        if as_json:
            typer.echo(json.dumps(found, indent=2))
            return
        report(console(), found, list(client.items(f"/api/tasks/{task}/steps")))


def events(
    task: Annotated[str, typer.Argument(help="The id that submit printed.")],
    as_json: Annotated[bool, typer.Option("--json", help="One event a line, for programs.")] = False,
    url: Url = None,
) -> None:
    """Show the history of a task, oldest first, wherever it is kept by now."""
    with gateway(url) as client:
        found = client.items(f"/api/tasks/{task}/events", limit="500")
        if as_json:
            for event in found:
                typer.echo(json.dumps(event))
            return
        rows = [(each["position"], each["at"], each["type"], each["actor"]) for each in found]
    table(console(), "History", ["position", "at", "what", "by"], rows)


def cancel(
    task: Annotated[str | None, typer.Argument(help="The id that submit printed.")] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--filter", help="key=value as `GET /api/tasks` takes them; of several, all must hold."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every task, without a filter.")] = False,
    reason: Annotated[str | None, typer.Option(help="Kept with the tasks.")] = None,
    url: Url = None,
) -> None:
    """Cancel a task, or all that match; those that run are stopped by their workers."""
    if [task is not None, bool(conditions), everything].count(True) != 1:
        raise RefusedError("Say what to cancel: either a task's id, or --filter key=value, or --all.")
    because = {} if reason is None else {"reason": reason}
    with gateway(url) as client:
        if task is not None:
            one = client.delete(f"/api/tasks/{task}", **because)
            say(
                console(), f"{task}: {one['state']}, was {one['was']}{', is told to stop' if one['cancelling'] else ''}"
            )
            return
        body = {"filter": _filter(conditions or []), **({"all": True} if everything else {}), **because}
        many = client.post("/api/tasks/cancel", body, timeout_seconds=MANY_SECONDS)
    say(
        console(),
        f"{many['cancelled']} cancelled, {many['cancelling']} told to stop; {many['finished']} had finished before",
    )


def retry(task: Annotated[str, typer.Argument(help="The id that submit printed.")], url: Url = None) -> None:
    """Let a task that waits for a retry go on at once, and one that failed or was cancelled from where it ended."""
    with gateway(url) as client:
        found = client.post(f"/api/tasks/{task}/retry")
    say(console(), f"{task}: {found['state']}; {GOES_ON.get(found['state'], found['status'])}")


def rerun(
    task: Annotated[str, typer.Argument(help="The id that submit printed.")],
    from_step: Annotated[str | None, typer.Option(help="Begin here, with what the steps before it made.")] = None,
    parameters: Annotated[str | None, typer.Option(help="Other parameters, as a JSON object.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Another place in the queues.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end and report.")] = False,
    url: Url = None,
) -> None:
    """Run a task once more, as a new one: from its start, or from a step on; prints the new id."""
    changes = {
        "from_step": from_step,
        "parameters": json_object(parameters) if parameters is not None else None,
        "priority": priority.value if priority is not None else None,
    }
    body = {name: value for name, value in changes.items() if value is not None}
    with gateway(url) as client:
        _submitted(client, str(client.post(f"/api/tasks/{task}/rerun", body)["task_id"]), watch=watch)


def _submitted(client: Client, task_id: str, *, watch: bool) -> None:
    """Print a new task's id, and follow it to its end if that is wanted; raises CommandError when it fails."""
    to = console()
    say(to, task_id)
    if not watch:
        return
    task = watch_task(client, task_id, to)
    report(to, task, list(client.items(f"/api/tasks/{task_id}/steps")))
    if task["state"] != "SUCCESS":
        raise CommandError(f"The task ended as {task['state']}.")


def _filter(conditions: list[str]) -> dict[str, Any]:
    """Return the filter's JSON; only labels may be given more than once."""
    found: dict[str, Any] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise RefusedError(f"--filter {condition} is not key=value: write for example --filter status=queued.")
        if name == "label":
            found.setdefault(name, []).append(value)
        elif name in found:
            raise RefusedError(f"--filter {name} is given twice; only label may be.")
        else:
            found[name] = value
    return found
