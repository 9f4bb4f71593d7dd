"""Alerts on the whole stack: what is wrong is said within its time, and what is right again, too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.e2e.workers import READY_SECONDS, await_state, drain, seen, started
from tests.servers import open_folder
from tests.waiting import until


def alert(stack: Stack, kind: str, subject: str) -> dict[str, Any] | None:
    """The alert of this kind about this subject, None when it was never raised."""
    items = stack.http.get("/api/alerts", params={"kind": kind}).raise_for_status().json()["items"]
    return next((item for item in items if item["subject"] == subject), None)


@pytest.fixture(scope="module")
def desk() -> Iterator[Stack]:
    """A stack with one slot, of which little is an alert soon."""
    settings = {
        "BLOTTER_WORKER_CONCURRENCY": "1",
        "BLOTTER_ALERT_BACKLOG_DEPTH": "3",
        "BLOTTER_ALERT_BACKLOG_SECONDS": "1",
        "BLOTTER_ALERT_CONSUMER_SECONDS": "2",
        "BLOTTER_ALERT_HOLD_SECONDS": "1",
    }
    with open_folder() as folder, Stack(folder / "home", **settings) as stack:
        yield stack


def is_resolved(stack: Stack, kind: str, subject: str) -> bool:
    """Whether the alert is resolved."""
    found = alert(stack, kind, subject)
    return found is not None and found["resolved_at"] is not None


def test_r7_3_a_backlog_over_its_threshold_alerts_and_one_more_worker_resolves_it(desk: Stack, gates: Path) -> None:
    """Three tasks wait behind one: raised within its time; whoever joins takes them, and it is resolved."""
    held = desk.submit("gated", "IBM", parameters={"gates": str(gates)})
    until((gates / f"IBM.{held}").exists, seconds=READY_SECONDS)
    waiting = [desk.submit("three-steps") for _ in range(3)]
    raised = until(lambda: alert(desk, "queue_backlog", "normal/depth"), seconds=10, hint="no alert")
    assert (raised["value"], raised["threshold"], raised["severity"]) == (3.0, 3.0, "warning")
    with started(desk):
        for task_id in waiting:
            desk.wait(task_id, "SUCCESS", seconds=READY_SECONDS)
        until(lambda: is_resolved(desk, "queue_backlog", "normal/depth"), seconds=20, hint="it is not resolved")
        (gates / "IBM").touch()
        desk.wait(held, "SUCCESS")


def test_r1_1_a_queue_without_a_consumer_is_alerted(desk: Stack) -> None:
    """Every queue, once the last worker has been drained; one that serves a level alone resolves that one's."""
    drain(desk, "executor")
    queues = ("high", "normal", "low", "maintenance")
    for queue in queues:
        raised = until(lambda queue=queue: alert(desk, "queue_without_consumer", queue), seconds=30, hint=queue)  # type: ignore[misc]
        assert raised["severity"] == "critical"
    with started(desk, "--queues", "high"):
        until(lambda: is_resolved(desk, "queue_without_consumer", "high"), seconds=READY_SECONDS, hint="not resolved")
        assert not is_resolved(desk, "queue_without_consumer", "low")


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
        until(lambda: is_resolved(stack, "worker_unresponsive", name), seconds=40, hint="it is not resolved")
    types = {"types": "alert.raised,alert.acknowledged,alert.resolved", "limit": "500"}
    events = stack.http.get("/api/events", params=types).raise_for_status().json()["items"]
    of_worker = [each["type"] for each in events if each["data"]["subject"] == name]
    assert of_worker == ["blotter.alert.raised", "blotter.alert.acknowledged", "blotter.alert.resolved"]
