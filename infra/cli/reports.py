"""What a task has come to, for people: decisions, orders, errors, and where the time went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from infra.cli.output import milliseconds, moment, say, table

Json = dict[str, Any]


def report(to: Console, task: Json, steps: list[Json]) -> None:
    """Everything about one task."""
    say(to, f"Task {task['task_id']}: {task['strategy_id']} on {', '.join(task['symbols'])}")
    say(to, f"{task['state']}, {task['status']}" + (f": {task['reason']}" if task.get("reason") else ""))
    if error := task.get("error"):
        where = ", ".join(word for word in (error.get("step"), error.get("symbol")) if word)
        say(to, f"{error['type']}{f' in {where}' if where else ''}: {error['message']}")
    outcome(to, task)
    times(to, task, steps)


def outcome(to: Console, task: Json) -> None:
    """Decisions, orders and collected errors of the result."""
    result = task.get("result")
    if result is None:
        if task.get("result_expired"):
            say(to, f"The result expired at {task['result_expires_at']}; the record stays.")
        return
    decisions = [(d["symbol"], d["action"], d["quantity"], d["reason"]) for d in result["decisions"]]
    orders = [
        (o["symbol"], o["side"], o["quantity"], o["state"], o.get("average_price"), o.get("filled_at"))
        for o in result["orders"]
    ]
    errors = [(e.get("symbol"), e.get("step"), e.get("type"), e.get("message")) for e in result["errors"]]
    _rows(to, "Decisions", ["symbol", "action", "quantity", "reason"], decisions)
    _rows(to, "Orders", ["symbol", "side", "quantity", "state", "price", "filled at"], orders)
    if errors:
        table(to, "Errors", ["symbol", "step", "error", "message"], errors)


def kept(to: Console, url: str, task: Json) -> None:
    """What the steps kept for people, and where it can be looked at."""
    result = task.get("result") or {}
    rows = [(each["name"], each["media_type"], f"{url}{each['url']}") for each in result.get("artifacts", ())]
    _rows(to, "Artifacts", ["name", "type", "address"], rows)


def times(to: Console, task: Json, steps: list[Json]) -> None:
    """Where the time went: waiting, each step by symbol, and what lies between the steps."""
    submitted, started, finished = (moment(task[name]) for name in ("submitted_at", "started_at", "finished_at"))
    by_step: dict[str, list[Json]] = defaultdict(list)
    for row in steps:
        by_step[row["step"]].append(row)
    rows: list[tuple[object, ...]] = []
    if submitted and started:
        rows.append(("waiting", "", milliseconds((started - submitted).total_seconds())))
    inside = 0.0
    for name, members in by_step.items():
        for row in members:
            inside += row["duration_seconds"] or 0.0
            rows.append((name, row["symbol"], milliseconds(row["duration_seconds"])))
    if started and finished:
        between = max(0.0, (finished - started).total_seconds() - inside)
        rows.append(("between steps", "", milliseconds(between)))
    if submitted and finished:
        rows.append(("in all", "", milliseconds((finished - submitted).total_seconds())))
    if rows:
        table(to, "Where the time went", ["step", "symbol", "time"], rows)


def _rows(to: Console, title: str, columns: list[str], rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        table(to, title, columns, rows)
    else:
        say(to, f"{title}: none")
