"""How people are told of an event: a title and a few lines. Pure."""

from typing import Any

from shared.cloud_events import TYPE_PREFIX

_TITLES = {
    "execution.failed": "Task failed",
    "execution.succeeded": "Task succeeded",
    "execution.cancelled": "Task was cancelled",
    "alert.raised": "Alert",
    "alert.resolved": "Alert resolved",
}
LONGEST_TEXT = 500


def title_of(event: dict[str, Any]) -> str:
    """Return the first line: what happened, and to which strategy or of which kind."""
    topic = str(event["type"]).removeprefix(TYPE_PREFIX)
    what = _TITLES.get(topic, topic.replace(".", " ").replace("_", " ").capitalize())
    about = event.get("strategyid") or _text(event.get("data", {}).get("summary"))
    return f"Blotter: {what}" + (f": {about}" if about else "")


def body_of(event: dict[str, Any]) -> str:
    """Return what is known beside the title, a fact a line."""
    data = event.get("data", {})
    failure = data.get("failure") or {}
    lines = [
        ("Error", f"{failure.get('type')}: {failure.get('message')}" if failure else None),
        ("Step", data.get("step")),
        ("Symbol", data.get("symbol")),
        ("Kind", data.get("kind")),
        ("Reason", data.get("reason")),
        ("Subject", event["subject"]),
        ("User", event.get("userid")),
        ("At", event["time"]),
        ("Position", event["position"]),
    ]
    return "\n".join(f"{name}: {_text(value)}" for name, value in lines if value is not None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:LONGEST_TEXT]
