"""`blotter objects`: what is kept outside the log."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import modules
from infra.cli.output import console, say, table

app = typer.Typer(help="What is kept outside the log: DataFrames, figures, large values.", no_args_is_help=True)


@app.command()
def collect(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be removed; remove nothing.")] = False,
) -> None:
    """Remove old objects to which the log does not refer; it is done every night, and harmless beside workers."""
    arguments = ["--dry-run"] if dry_run else []
    done = modules.run("services.executor.garbage", modules.DATABASE, arguments=arguments)
    to = console()
    say(to, f"Objects in {done['place']}, as of position {done['position']} of the log ({done['seconds']:.1f} s):")
    rows = [
        ("objects", done["objects"]),
        ("objects to which the log refers", done["referenced"]),
        ("young objects that stay for now", done["kept_young"]),
        ("objects that would be removed" if done["dry_run"] else "objects removed", done["deleted"]),
        ("bytes that would be freed" if done["dry_run"] else "bytes freed", f"{done['freed_bytes']:,}"),
    ]
    table(to, "Collection", ["what", "count"], rows)
