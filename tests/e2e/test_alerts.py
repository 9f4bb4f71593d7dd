"""Alerts on the whole stack: what is wrong is said within its time, and what is right again, too."""

from __future__ import annotations

import signal
from typing import Any

from tests.e2e.stack import Stack
from tests.e2e.workers import await_state, seen, started
from tests.waiting import until


def alert(stack: Stack, kind: str, subject: str) -> dict[str, Any] | None:
    """The alert of this kind about this subject, None when it was never raised."""
    items = stack.http.get("/api/alerts", params={"kind": kind}).raise_for_status().json()["items"]
    return next((item for item in items if item["subject"] == subject), None)


def test_r7_2_a_silent_worker_is_alerted_within_thirty_seconds_and_resolved(stack: Stack) -> None:
    """SIGSTOP raises it, somebody acknowledges it, SIGCONT resolves it; a drained worker raises none."""
    with started(stack) as beside:
        await_state(stack, "started", "online")
        name = seen(stack, "started")["name"]
        beside.process.send_signal(signal.SIGSTOP)
        raised = until(lambda: alert(stack, "worker_unresponsive", name), seconds=30, hint="no alert")
        assert (raised["severity"], raised["resolved_at"], raised["occurrences"]) == ("critical", None, 1)
        done = stack.http.post(f"/api/alerts/{raised['id']}/acknowledge", params={"note": "I look"})
        assert (done.status_code, done.json()["note"]) == (200, "I look")
        beside.process.send_signal(signal.SIGCONT)

        def resolved() -> bool:
            found = alert(stack, "worker_unresponsive", name)
            return found is not None and found["resolved_at"] is not None

        until(resolved, seconds=40, hint="it is not resolved")
    types = {"types": "alert.raised,alert.acknowledged,alert.resolved", "limit": "500"}
    events = stack.http.get("/api/events", params=types).raise_for_status().json()["items"]
    of_worker = [each["type"] for each in events if each["data"]["subject"] == name]
    assert of_worker == ["blotter.alert.raised", "blotter.alert.acknowledged", "blotter.alert.resolved"]
