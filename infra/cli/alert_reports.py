"""Alerts, for the terminal."""

from __future__ import annotations

from rich.console import Console

from infra.cli.client import Json
from infra.cli.output import table


def alerts(to: Console, answer: Json) -> None:
    """What `GET /api/alerts` answers, a line an alert."""
    rows = [
        (each["id"], each["severity"], each["kind"], each["summary"], each["since"], _state(each))
        for each in answer["items"]
    ]
    table(to, "Alerts", ["id", "severity", "kind", "summary", "since", "state"], rows)


def _state(alert: Json) -> str:
    if alert["resolved_at"]:
        return f"resolved: {alert['resolution']}"
    if not alert["acknowledged_at"]:
        return "active"
    note = f": {alert['note']}" if alert["note"] else ""
    return f"acknowledged by {alert['acknowledged_by']}{note}"
