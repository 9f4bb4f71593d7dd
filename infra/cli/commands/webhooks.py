"""`blotter webhooks`: addresses that are told of events, and what was delivered to them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infra.cli.arguments import AsJson, Url
from infra.cli.client import Json
from infra.cli.output import console, milliseconds, say, table
from infra.cli.settings import gateway

app = typer.Typer(help="Addresses that are told of events, and what was delivered to them.")

_SHOWN = 50
Id = Annotated[str, typer.Argument(metavar="ID", help="As `blotter webhooks` lists it.")]
Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="As `blotter webhooks deliveries ID` lists it.")]


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    """List your webhooks, newest first; admins see everybody's."""
    if context.invoked_subcommand is not None:
        return
    with gateway(url) as client:
        items = list(client.items("/api/webhooks"))
    if as_json:
        typer.echo(json.dumps({"items": items}, indent=2))
    elif not items:
        say(console(), "There are no webhooks: create one with `blotter webhooks create URL TYPE...`.")
    else:
        rows = [(each["webhook_id"], each["url"], " ".join(each["types"]), _state(each)) for each in items]
        table(console(), "Webhooks", ["id", "url", "types", "state"], rows, whole=["id"])


@app.command()
def create(
    address: Annotated[str, typer.Argument(metavar="URL", help="http or https; each event is posted to it.")],
    types: Annotated[list[str], typer.Argument(help="Such as task.failed, 'alert.*', or '*'.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Have an address told of events; prints the secret, which is shown only now."""
    with gateway(url) as client:
        made = client.post("/api/webhooks", {"url": address, "types": types})
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    say(console(), f"Webhook {made['webhook_id']} is told of {', '.join(made['types'])}.")
    say(console(), f"Its secret, which is not shown again: {made['secret']}")


@app.command()
def delete(webhook: Id, url: Url = None) -> None:
    """Have an address told of nothing more."""
    with gateway(url) as client:
        client.delete(f"/api/webhooks/{webhook}")
    say(console(), f"Webhook {webhook} is deleted.")


@app.command()
def enable(webhook: Id, url: Url = None) -> None:
    """Have an address told of events again that was disabled."""
    _change(webhook, enabled=True, url=url)


@app.command()
def disable(webhook: Id, url: Url = None) -> None:
    """Have an address told of nothing until it is enabled."""
    _change(webhook, enabled=False, url=url)


@app.command()
def rotate(webhook: Id, url: Url = None) -> None:
    """Give a webhook another secret; the former one signs as well for a day."""
    with gateway(url) as client:
        changed = client.post(f"/api/webhooks/{webhook}/rotate")
    say(console(), f"Its new secret, which is not shown again: {changed['secret']}")


@app.command("test")
def try_out(webhook: Id, url: Url = None) -> None:
    """Have something delivered now."""
    with gateway(url) as client:
        client.post(f"/api/webhooks/{webhook}/test")
    say(console(), f"It is on its way: see `blotter webhooks deliveries {webhook}`.")


@app.command()
def deliveries(
    webhook: Id,
    state: Annotated[str | None, typer.Option(help="pending, delivered or dead.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the last deliveries, newest event first."""
    query = {"limit": str(_SHOWN)} | ({} if state is None else {"state": state})
    with gateway(url) as client:
        items = client.get(f"/api/webhooks/{webhook}/deliveries", **query)["items"]
    if as_json:
        typer.echo(json.dumps({"items": items}, indent=2))
        return
    rows = [
        (each["delivery_id"], each["type"], each["position"], each["state"], each["attempts"], _last(each))
        for each in items
    ]
    columns = ["id", "type", "position", "state", "tries", "last answer"]
    table(console(), "Deliveries", columns, rows, whole=["id"])


@app.command()
def delivery(webhook: Id, delivery: Delivery, as_json: AsJson = False, url: Url = None) -> None:
    """Show one delivery with each of its tries."""
    with gateway(url) as client:
        found = client.get(f"/api/webhooks/{webhook}/deliveries/{delivery}")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    say(console(), f"{found['type']} {found['event_id']} at position {found['position']}: {found['state']}")
    rows = [
        (each["number"], each["at"], milliseconds(each["duration_seconds"]), each["status"], each["error"])
        for each in found["tries"]
    ]
    table(console(), "Tries", ["number", "at", "took", "status", "error"], rows)


@app.command()
def redeliver(webhook: Id, delivery: Delivery, url: Url = None) -> None:
    """Have a delivery tried again that was given up, or taken."""
    with gateway(url) as client:
        client.post(f"/api/webhooks/{webhook}/deliveries/{delivery}/redeliver")
    say(console(), f"Delivery {delivery} is tried again.")


def _change(webhook: str, *, enabled: bool, url: str | None) -> None:
    with gateway(url) as client:
        changed = client.patch(f"/api/webhooks/{webhook}", {"enabled": enabled})
    say(console(), f"Webhook {webhook} is {_state(changed)}.")


def _state(webhook: Json) -> str:
    if webhook["enabled"]:
        return "enabled"
    return "disabled" + (f": {webhook['disabled_reason']}" if webhook["disabled_reason"] else "")


def _last(delivery: Json) -> str:
    return str(delivery["last_error"] or delivery["last_status"] or "")
