"""What happens to a task, heard as it happens, on the real stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.stack import Stack

PATIENCE = 30


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield what a stream of server-sent events tells."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_a_task_is_heard_from_its_submission_to_its_end_with_what_its_steps_say(stack: Stack, gates: Path) -> None:
    """Each event of its history once and in order; between them, how far the step is that waits at a gate."""
    task_id = stack.submit("gated", "AAPL", "IBM", parameters={"gates": str(gates)})
    query = {"task_id": task_id, "after": "0"}
    heard: list[dict[str, Any]] = []
    with stack.http.stream("GET", "/api/live", params=query, timeout=PATIENCE) as response:
        for event in events(response):
            heard.append(event)
            if event["type"] == "execution.progress":
                (gates / event["data"]["current_symbol"]).touch()
            if event["type"] == "execution.succeeded":
                break

    history = stack.http.get(f"/api/tasks/{task_id}/events").json()["items"]
    changes = [event for event in heard if event["position"] is not None]
    assert [(each["position"], each["type"], each["data"]) for each in changes] == [
        (each["position"], each["type"], each["data"]) for each in history
    ]
    said = [event["data"] for event in heard if event["position"] is None]
    assert {each["current_symbol"] for each in said} == {"AAPL", "IBM"}
    assert all(each["step_progress"] == {"done": 0, "total": 1, "message": "before the gate"} for each in said)
