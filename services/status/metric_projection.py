"""What the projector counts for metrics: differences of a batch, added to the rows in the transaction of the batch.

How many tasks are in a status follows from where each touched run stood before the batch and stands after it. What
happened in a minute follows from the events, by their own times: whoever takes in the log again counts the same.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.status.buckets import bucket_of
from services.status.tables import add, arrays_of, columns, metric_buckets, metric_minutes, metric_tasks
from shared.domain import execution_events as happened
from shared.domain.branch_events import BranchPreempted, BranchRetryScheduled
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase, Status, status

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The minute under which all minutes are summed up: it stays when old minutes go, so that counters never go back."""
COUNTED: Mapping[type[Event], str] = {
    happened.Submitted: "submitted",
    happened.AttemptStarted: "started",
    happened.Succeeded: "completed",
    happened.Failed: "failed",
    happened.Cancelled: "cancelled",
    happened.RetryScheduled: "retried",
    BranchRetryScheduled: "retried",
    happened.Preempted: "preempted",
    BranchPreempted: "preempted",
}
"""What an event counts as. One that is not here counts as nothing."""

_MICROSECOND = timedelta(microseconds=1)
_FIGURES = tuple(name for name in columns(metric_minutes) if name not in ("minute", "strategy_id", "priority"))

Place = tuple[str, str]
"""A strategy and a level."""


class Tally:
    """What one batch adds."""

    def __init__(self) -> None:
        self._before: dict[UUID, Phase | None] = {}
        self._places: dict[UUID, Place] = {}
        self._minutes: dict[tuple[datetime, Place], dict[str, int]] = {}
        self._buckets: dict[tuple[datetime, Place, str, int], int] = {}

    def see(self, run: WorkflowExecution, event: Event) -> None:
        """Count an event of a run that has not been told of it yet; a submission's run begins with it."""
        task_id = run.id
        if task_id not in self._before:
            self._before[task_id] = None if type(event) is happened.Submitted else run.phase
            self._places[task_id] = (run.submitted.strategy_id, str(run.submitted.priority))
        name = COUNTED.get(type(event))
        if name is None:
            return
        place = self._places[task_id]
        minute = event.at.replace(second=0, microsecond=0)
        counts = self._minutes.get((minute, place))
        if counts is None:
            counts = self._minutes[minute, place] = dict.fromkeys(_FIGURES, 0)
        counts[name] += 1
        if name == "completed" and run.started_at is not None:
            self._time(minute, place, counts, "duration", event.at - run.started_at)
        elif name == "started" and run.waiting_since is not None:
            counts["waited"] += 1
            self._time(minute, place, counts, "waiting", event.at - run.waiting_since)

    def _time(self, minute: datetime, place: Place, counts: dict[str, int], figure: str, took: timedelta) -> None:
        microseconds = max(0, took // _MICROSECOND)
        counts[f"{figure}_microseconds"] += microseconds
        key = (minute, place, figure, bucket_of(microseconds))
        self._buckets[key] = self._buckets.get(key, 0) + 1

    def write(self, connection: sa.Connection, phases: Mapping[UUID, Phase]) -> None:
        """Add what was counted, in the caller's transaction; `phases` are those of the touched runs after the batch."""
        for statement, rows in (
            (_ADD_TASKS, self._task_rows(phases)),
            (_ADD_MINUTES, self._minute_rows()),
            (_ADD_BUCKETS, self._bucket_rows()),
        ):
            if rows:
                connection.execute(statement, arrays_of(rows))

    def _task_rows(self, phases: Mapping[UUID, Phase]) -> list[dict[str, Any]]:
        changes: Counter[tuple[str, Status]] = Counter()
        new_levels = set()
        for task_id, before in self._before.items():
            level, after = self._places[task_id][1], status(phases[task_id])
            if before is None:
                new_levels.add(level)
                changes[level, after] += 1
            elif (was := status(before)) is not after:
                changes[level, was] -= 1
                changes[level, after] += 1
        # A level has all its rows from its first task on, whatever statuses its tasks are seen in.
        for level in new_levels:
            for each in Status:
                changes[level, each] += 0
        return [{"priority": level, "status": str(found), "count": count} for (level, found), count in changes.items()]

    def _minute_rows(self) -> list[dict[str, Any]]:
        sums = {key: Counter(counts) for key, counts in self._minutes.items()}
        for (_, place), counts in self._minutes.items():
            sums.setdefault((ALL_TIME, place), Counter()).update(counts)
        return [
            {
                "minute": minute,
                "strategy_id": strategy_id,
                "priority": level,
                **{name: counts[name] for name in _FIGURES},
            }
            for (minute, (strategy_id, level)), counts in sums.items()
        ]

    def _bucket_rows(self) -> list[dict[str, Any]]:
        sums = Counter(self._buckets)
        for (_, place, figure, bucket), count in self._buckets.items():
            sums[ALL_TIME, place, figure, bucket] += count
        return [
            {
                "minute": minute,
                "strategy_id": strategy_id,
                "priority": level,
                "figure": figure,
                "bucket": bucket,
                "count": count,
            }
            for (minute, (strategy_id, level), figure, bucket), count in sums.items()
        ]


_ADD_TASKS = add(metric_tasks)
_ADD_MINUTES = add(metric_minutes)
_ADD_BUCKETS = add(metric_buckets)
