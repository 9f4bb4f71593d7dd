"""Follow a task until it ends."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.cli.client import Client
from infra.cli.output import say

Json = dict[str, Any]
FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_BETWEEN_POLLS_SECONDS = 0.1
_BAR_WIDTH = 32


def watch(client: Client, task_id: str, to: Console) -> Json:
    """Poll the task at most ten times a second, show how far each symbol is, and return the task once ended."""
    last = ""
    with Live(console=to, auto_refresh=False, transient=True) if to.is_terminal else _Silence() as live:
        while True:
            task = client.get(f"/api/tasks/{task_id}")
            line = _line(task)
            if isinstance(live, Live):
                live.update(_drawn(client, task, line), refresh=True)
            elif line != last:
                say(to, line)
            last = line
            if task["state"] in FINAL:
                return task
            time.sleep(_BETWEEN_POLLS_SECONDS)


class _Silence:
    """What stands for the live display when the output is piped."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def _line(task: Json) -> str:
    progress = task.get("progress") or {}
    where = " ".join(word for word in (progress.get("current_step"), progress.get("current_symbol")) if word)
    done = f"{progress.get('completed_steps', 0)} of {progress.get('total_steps', 0)} steps done"
    symbols = ", ".join(progress.get("completed_symbols") or [])
    parts = [task["state"], done, where and f"at {where}", symbols and f"done for {symbols}", task.get("reason") or ""]
    return "; ".join(part for part in parts if part)


def _drawn(client: Client, task: Json, line: str) -> Table:
    progress = task.get("progress") or {}
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("run"), ProgressBar(total=1.0, completed=progress.get("fraction") or 0.0, width=_BAR_WIDTH))
    rows = list(client.items(f"/api/tasks/{task['task_id']}/steps"))
    per_symbol = max(len({row["step"] for row in rows if row["symbol"]}), 1)
    for symbol in task["symbols"]:
        finished = sum(row["symbol"] == symbol and row["state"] == "completed" for row in rows)
        grid.add_row(Text(symbol), ProgressBar(total=per_symbol, completed=finished, width=_BAR_WIDTH))
    grid.add_row(Text(""), Text(line))
    return grid
