"""The queues, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from infra.cli.client import Json
from infra.cli.durations import duration_text
from infra.cli.output import table

_UNKNOWN = "?"


def queues(to: Console, answer: Json) -> None:
    """What `GET /api/queues` answers, a line a queue; what Redis alone knows is "?" while it is away."""
    rows = [
        (
            each["priority"],
            each["depth"],
            "" if each["oldest_seconds"] is None else duration_text(int(each["oldest_seconds"])),
            _consumers(each["consumers"]),
            _paused(each),
        )
        for each in answer["items"]
    ]
    beside = answer["maintenance"]
    depth = _UNKNOWN if beside["depth"] is None else beside["depth"]
    rows.append(("maintenance", depth, "", _consumers(beside["consumers"]), ""))
    table(to, "Queues", ["queue", "waiting", "oldest", "workers", "paused"], rows)


def _consumers(names: Sequence[str] | None) -> str:
    if names is None:
        return _UNKNOWN
    return ", ".join(names) or "none"


def _paused(queue: Json) -> str:
    if not queue["paused"]:
        return ""
    why = f": {queue['pause_reason']}" if queue["pause_reason"] else ""
    return f"by {queue['paused_by']} since {queue['paused_at']}{why}"
