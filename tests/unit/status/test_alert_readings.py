"""What figures mean for alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.status.alert_readings import Counted, of_backlogs, of_consumers, of_failed, of_workers
from services.status.queues import Waiting
from shared.domain.alert import Alert, evolve
from shared.domain.alert_events import AlertKind
from shared.domain.priority import Priority
from shared.domain.workers import WorkerState, WorkerView
from tests.alerts import AT, alert_raised


def view(state: WorkerState, *, heard_after: float = 0) -> WorkerView:
    """A worker that was heard of so many seconds after the first alert was raised."""
    nothing: Any = None
    return WorkerView(
        name="executor@host", host="host", pid=1, pool="prefork", concurrency=2, queues=("high",), state=state,
        active=(),
        processed=nothing, cpu_percent=nothing, rss_bytes=nothing, uss_bytes=nothing, started_at=AT,
        last_heartbeat_at=AT + timedelta(seconds=1 + heard_after),
    )  # fmt: skip


def known_alert() -> Alert:
    """That the worker does not answer."""
    alert = evolve(None, alert_raised(kind=AlertKind.WORKER_UNRESPONSIVE, subject="executor@host"))
    assert alert is not None
    return alert


@pytest.mark.parametrize(
    ("state", "over", "clear"),
    [
        (WorkerState.ONLINE, False, True),
        (WorkerState.DRAINING, False, True),
        (WorkerState.UNRESPONSIVE, True, False),
        (WorkerState.OFFLINE, False, True),
    ],
)
def test_a_worker_is_over_only_while_it_is_missed(state: WorkerState, over: bool, clear: bool) -> None:
    """One that drains, or has said goodbye, is not missed."""
    (reading,) = of_workers([view(state)], {})
    assert (reading.is_over, reading.is_clear) == (over, clear)


def test_a_worker_that_never_came_back_stays_as_it_is() -> None:
    """Nobody waits for it any more, which is no good news; had it come back and left, that would be."""
    alert = known_alert()
    (lost,) = of_workers([view(WorkerState.OFFLINE, heard_after=-5)], {alert.id: alert})
    (left,) = of_workers([view(WorkerState.OFFLINE, heard_after=5)], {alert.id: alert})
    assert (lost.is_over, lost.is_clear, left.is_clear) == (False, False, True)


def test_a_backlog_is_measured_by_depth_and_by_age() -> None:
    """Each against its own threshold; a level that is paused on purpose is neither over nor clear."""
    waiting = {Priority.HIGH: Waiting(12, AT - timedelta(seconds=61)), Priority.LOW: Waiting(12, AT)}
    readings = {
        reading.subject: (reading.is_over, reading.is_clear)
        for reading in of_backlogs(waiting, [Priority.LOW], depth=10, age_seconds=100.0, now=AT)
    }
    assert readings == {
        "high/depth": (True, False),
        "high/age": (False, True),
        "low/depth": (False, False),
        "low/age": (False, False),
    }


def test_a_queue_is_over_when_nobody_takes_from_it() -> None:
    """One worker is enough."""
    readings = {reading.subject: reading.is_over for reading in of_consumers({"high": ["a"], "low": []})}
    assert readings == {"high": False, "low": True}


def test_ten_thousand_failures_of_a_strategy_are_one_reading() -> None:
    """With their number."""
    (reading,) = of_failed([Counted("rsi", "rsi", 10_000)])
    assert (reading.subject, reading.value, reading.is_over) == ("rsi", 10_000.0, True)
