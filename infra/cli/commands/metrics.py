"""`blotter metrics`: how many tasks there are, how long they take, what waits and who works."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from itertools import count
from typing import Annotated

import typer
from rich.live import Live

from infra.cli.arguments import AsJson, Url
from infra.cli.metric_reports import figures
from infra.cli.output import console
from infra.cli.settings import gateway

_BETWEEN_LOOKS_SECONDS = 1.0
"""The pace of the display: figures are gauges, and there is nothing to wait for."""

Window = Annotated[int, typer.Option(metavar="SECONDS", help="How far back times and throughput look.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show them anew each second, until Ctrl-C.")]


def metrics(watch: Watch = False, window: Window = 3_600, as_json: AsJson = False, url: Url = None) -> None:
    """Show how many tasks are in each status, how long they take, what waits, and how many workers live.

    With --watch and --json a line each second.
    """
    to = console()
    drawn = Live(console=to, auto_refresh=False) if watch and to.is_terminal and not as_json else None
    with gateway(url) as client, drawn or nullcontext():
        for looks in count():
            if looks:
                time.sleep(_BETWEEN_LOOKS_SECONDS)
            answer = client.get("/api/metrics", window_seconds=str(window))
            if drawn is not None:
                drawn.update(figures(answer), refresh=True)
            elif as_json:
                typer.echo(json.dumps(answer, indent=None if watch else 2))
            else:
                to.print(figures(answer))
            if not watch:
                return
