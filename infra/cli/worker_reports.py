"""Workers for people: how each does, and what it uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from infra.cli.output import table
from infra.cli.zones import utc

Json = dict[str, Any]

_MEBIBYTE = 1 << 20
_COLUMNS = ["worker", "state", "pool", "active", "processed", "cpu", "memory", "since (UTC)", "last heard (UTC)"]


def listing(to: Console, workers: Sequence[Json]) -> None:
    """A row for each: taken slots of all, CPU in percent of one core, and the memory that it alone has."""
    table(to, "Workers", _COLUMNS, [_row(worker) for worker in workers], whole=("worker", "state"))


def drain_line(worker: Json) -> str:
    """What becomes of a worker that was asked to leave."""
    if worker["state"] == "unresponsive":
        return f"{worker['name']} is unresponsive: it leaves should it ever answer again."
    active = len(worker["active"])
    if not active:
        return f"{worker['name']} takes nothing more, and leaves."
    return f"{worker['name']} takes nothing more, and leaves when it has finished {active} in hand."


def _row(worker: Json) -> tuple[object, ...]:
    memory = worker["rss_bytes"] if worker["uss_bytes"] is None else worker["uss_bytes"]
    return (
        worker["name"],
        worker["state"],
        worker["pool"],
        f"{len(worker['active'])} of {worker['concurrency']}",
        worker["processed"],
        None if worker["cpu_percent"] is None else f"{worker['cpu_percent']:.0f} %",
        None if memory is None else f"{memory / _MEBIBYTE:,.0f} MiB",
        utc(worker["started_at"]),
        utc(worker["last_heartbeat_at"]),
    )
