"""Schedules by the public API."""

from datetime import datetime, timedelta
from typing import Any

from tests.e2e.stack import Stack

SCHEDULE = {"name": "a test's", "strategy_id": "three-steps", "symbols": ["MSFT"]}


def create_schedule(stack: Stack, when: dict[str, Any], **body: Any) -> str:
    """Write a schedule, of the quick strategy unless the body says otherwise, and return its id."""
    answer = stack.http.post("/api/schedules", json={**SCHEDULE, "when": when, **body})
    assert answer.status_code == 201, answer.text
    schedule_id: str = answer.json()["schedule_id"]
    return schedule_id


def tasks_of(stack: Stack, schedule_id: str) -> list[dict[str, Any]]:
    """Return the tasks of a schedule, in the order of their times."""
    items = stack.http.get(f"/api/tasks?schedule_id={schedule_id}&limit=500").json()["items"]
    return sorted(items, key=lambda task: str(task["scheduled_at"]))


def history_of(stack: Stack, schedule_id: str) -> list[dict[str, Any]]:
    """Return what has become of a schedule's times, oldest first."""
    items = stack.http.get(f"/api/schedules/{schedule_id}/history?limit=500").json()["items"]
    return list(reversed(items))


def lateness(task: dict[str, Any]) -> timedelta:
    """Return how long after its time a scheduled task was submitted."""
    return datetime.fromisoformat(task["submitted_at"]) - datetime.fromisoformat(task["scheduled_at"])


def preview(stack: Stack, when: dict[str, Any]) -> list[datetime]:
    """Return the next times that a schedule would have."""
    answer = stack.http.post("/api/schedules/preview", json={**SCHEDULE, "when": when})
    assert answer.status_code == 200, answer.text
    return [datetime.fromisoformat(each["at"]) for each in answer.json()["items"]]
