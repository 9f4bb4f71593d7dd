"""Metrics counted over the log, event by event: what the tables of metrics are held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.status.buckets import bucket_of
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.domain.views import task_view

COUNTED_AS = {
    "execution.submitted": "submitted",
    "execution.attempt_started": "started",
    "execution.succeeded": "completed",
    "execution.failed": "failed",
    "execution.cancelled": "cancelled",
    "execution.retry_scheduled": "retried",
    "branch.retry_scheduled": "retried",
    "execution.preempted": "preempted",
    "branch.preempted": "preempted",
}
NUMBERS = (*dict.fromkeys(COUNTED_AS.values()), "waited", "duration_microseconds", "waiting_microseconds")
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[Any, ...]


class MetricFold:
    """Takes in events in the order of the log, each with its run as it is after it."""

    def __init__(self) -> None:
        self.minutes: dict[Key, Counter[str]] = {}
        self.buckets: Counter[Key] = Counter()
        self.durations: list[tuple[datetime, timedelta]] = []

    def take_in(self, waiting_since: datetime | None, event: Event, after: WorkflowExecution) -> None:
        """Count an event of a run that had waited for a worker since `waiting_since`, None if it did not."""
        name = COUNTED_AS.get(event.TOPIC)
        if name is None:
            return
        view = task_view(after)
        for minute in (event.at.replace(second=0, microsecond=0), ALWAYS):
            key = (minute, view.strategy_id, str(view.priority))
            counts = self.minutes.setdefault(key, Counter())
            counts[name] += 1
            if name == "completed":
                assert view.finished_at is not None
                assert view.started_at is not None
                self._time(key, "duration", view.finished_at - view.started_at)
            if name == "started" and waiting_since is not None:
                counts["waited"] += 1
                self._time(key, "waiting", event.at - waiting_since)

    def forget(self, before: datetime) -> None:
        """Drop the minutes before a time, as retention does; what is told of all time stays."""
        self.minutes = {key: counts for key, counts in self.minutes.items() if not ALWAYS < key[0] < before}
        self.buckets = Counter({key: count for key, count in self.buckets.items() if not ALWAYS < key[0] < before})

    def _time(self, key: Key, figure: str, took: timedelta) -> None:
        microseconds = max(0, round(took.total_seconds() * 1_000_000))
        self.minutes[key][f"{figure}_microseconds"] += microseconds
        self.buckets[(*key, figure, bucket_of(microseconds))] += 1
        if figure == "duration" and key[0] != ALWAYS:
            self.durations.append((key[0], took))

    def minute_rows(self) -> dict[Key, tuple[int, ...]]:
        """The rows of `metric_minutes`: their numbers by their keys."""
        return {key: tuple(counts[name] for name in NUMBERS) for key, counts in self.minutes.items()}


def task_rows(runs: Mapping[Any, WorkflowExecution]) -> dict[Key, int]:
    """The rows of `metric_tasks` by their keys: all statuses of each level that had a task."""
    views = [task_view(run) for run in runs.values()]
    found = Counter((str(view.priority), str(view.status)) for view in views)
    levels = {view.priority for view in views}
    return {
        (str(level), str(status)): found[level, status] for level in Priority if level in levels for status in Status
    }
