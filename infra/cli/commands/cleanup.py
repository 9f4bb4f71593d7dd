"""`blotter cleanup`: what does not stay for ever."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infra.cli import modules
from infra.cli.arguments import AsJson
from infra.cli.client import Json
from infra.cli.failures import CommandError
from infra.cli.output import console, say, table


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be done; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clean up by the retention settings; it is done every night, and harmless beside workers."""
    arguments = ["--dry-run"] if dry_run else []
    done = modules.run("services.executor.cleanup", modules.DATABASE, modules.REDIS, arguments=arguments)
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        _report(done)
    if failed := [f"{each['kind']}: {each['error']}" for each in done["kinds"] if each["error"]]:
        raise CommandError(f"Not everything could be done. {'; '.join(failed)}")


def _report(done: Json) -> None:
    to = console()
    recorded = "nothing was changed" if done["dry_run"] else f"on record at position {done['position']}"
    say(to, f"Cleaned up at {done['started_at']} in {done['seconds']:.1f} s; {recorded}.")
    rows = [
        (each["kind"], name.replace("_", " "), f"{count:,}")
        for each in done["kinds"]
        for name, count in each["counts"].items()
    ]
    table(to, "What would be done" if done["dry_run"] else "What was done", ["kind", "what", "count"], rows)
