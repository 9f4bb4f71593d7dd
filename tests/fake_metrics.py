"""What the fake status service tells of metrics; `tests/contract/test_status_metrics.py` holds it to the real one.

It knows tasks as they are now, and so counts the last end of each, and no attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.status.metric_totals import OCTAVES
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.domain.views import TaskView

WORDS = {
    "queued": Status.QUEUED,
    "active": Status.RUNNING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "retrying": Status.RETRYING,
    "preempted": Status.PREEMPTED,
    "cancelled": Status.CANCELLED,
}
MINUTE = timedelta(minutes=1)


def figures(views: Sequence[TaskView], position: int, window_seconds: int) -> dict[str, Any]:
    """Return what `GET /metrics` answers of these tasks, but for workers."""
    now = datetime.now(UTC)
    since = (now - timedelta(seconds=window_seconds)).replace(second=0, microsecond=0)
    durations = _durations([view for view in views if view.finished_at is not None and view.finished_at >= since])
    waiting = {level: [view.waiting_since for view in views if view.priority is level] for level in Priority}
    began = {level: [since for since in times if since is not None] for level, times in waiting.items()}
    ages = {level: (now - min(times)).total_seconds() if times else None for level, times in began.items()}
    return {
        "as_of_position": position,
        "tasks": {word: sum(view.status is status for view in views) for word, status in WORDS.items()},
        **_times(durations),
        "average_waiting_seconds": None,
        "p95_waiting_seconds": None,
        "throughput_per_minute": len(durations) / ((now - since) / MINUTE),
        "queue_length": {level: len(times) for level, times in began.items()},
        "queue_oldest_seconds": {level: None if age is None else max(0.0, age) for level, age in ages.items()},
        "projection_lag_events": 0,
        "projection_lag_seconds": 0.0,
        "window_seconds": window_seconds,
        "window_from": since,
    }


def history(views: Sequence[TaskView], position: int, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what `GET /metrics/history` answers of these tasks."""
    last = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = [view for view in views if _is_part(view, query)]
    moments = [last - number * MINUTE for number in reversed(range(int(query["minutes"])))]
    return {"as_of_position": position, "points": [_point(wanted, moment) for moment in moments]}


def _is_part(view: TaskView, query: Mapping[str, str]) -> bool:
    return all(str(getattr(view, name)) == query[name] for name in ("strategy_id", "priority") if name in query)


def _point(views: Sequence[TaskView], moment: datetime) -> dict[str, Any]:
    ended = [view for view in views if view.finished_at is not None and moment <= view.finished_at < moment + MINUTE]
    counts = {word: sum(view.status is WORDS[word] for view in ended) for word in ("completed", "failed", "cancelled")}
    submitted = sum(moment <= view.submitted_at < moment + MINUTE for view in views)
    nothing = {"started": 0, "retried": 0, "preempted": 0, "average_waiting_seconds": None}
    return {"at": moment, "submitted": submitted, **counts, **nothing, **_times(_durations(ended))}


def _durations(views: Sequence[TaskView]) -> list[float]:
    taken = [view.duration_seconds for view in views if view.status is Status.COMPLETED]
    return sorted(each for each in taken if each is not None)


def _times(durations: Sequence[float]) -> dict[str, float | None]:
    if not durations:
        return {"average_duration_seconds": None, "p95_duration_seconds": None}
    return {
        "average_duration_seconds": sum(durations) / len(durations),
        "p95_duration_seconds": durations[-(-95 * len(durations) // 100) - 1],
    }


def totals(views: Sequence[TaskView]) -> dict[str, Any]:
    """Return what `GET /metrics/totals` answers of these tasks, but for workers and the position."""
    now = datetime.now(UTC)
    places = sorted({(view.strategy_id, view.priority) for view in views})
    levels = sorted({view.priority for view in views})
    waiting = {level: [v.waiting_since for v in views if v.priority is level and v.waiting_since] for level in Priority}
    return {
        "tasks": [
            {
                "priority": level,
                "status": status,
                "count": sum((v.priority, v.status) == (level, status) for v in views),
            }
            for level in levels
            for status in Status
        ],
        "sums": [_sums([v for v in views if (v.strategy_id, v.priority) == place], place) for place in places],
        "histograms": [
            _histogram(figure, level, [v for v in views if v.priority is level])
            for figure in ("duration", "waiting")
            for level in Priority
        ],
        "queues": [
            {
                "priority": level,
                "depth": len(times),
                "oldest_seconds": (now - min(times)).total_seconds() if times else None,
            }
            for level, times in waiting.items()
        ],
    }


def _sums(views: Sequence[TaskView], place: tuple[str, Priority]) -> dict[str, Any]:
    ends = {word: sum(view.status is WORDS[word] for view in views) for word in ("completed", "failed", "cancelled")}
    counts = {"submitted": len(views), "started": 0, "retried": 0, "preempted": 0}
    return {"strategy_id": place[0], "priority": place[1], **counts, **ends}


def _histogram(figure: str, level: Priority, views: Sequence[TaskView]) -> dict[str, Any]:
    taken = [v for v in views if v.status is Status.COMPLETED] if figure == "duration" else []
    seconds = sorted(view.duration_seconds or 0.0 for view in taken)
    bounds = [bound / 1_000_000 for bound in OCTAVES]
    buckets: list[dict[str, Any]] = []
    for lower, upper in zip((None, *bounds), (*bounds, None), strict=True):
        here = [
            view
            for view in taken
            if (lower is None or (view.duration_seconds or 0.0) > lower)
            and (upper is None or (view.duration_seconds or 0.0) <= upper)
            and view.trace_id is not None
        ]
        example = here and {
            "trace_id": here[0].trace_id,
            "seconds": here[0].duration_seconds,
            "at": here[0].finished_at and here[0].finished_at.timestamp(),
        }
        count = len(seconds) if upper is None else sum(each <= upper for each in seconds)
        buckets.append({"le": upper, "count": count, "example": example or None})
    return {"figure": figure, "priority": level, "buckets": buckets, "sum_seconds": sum(seconds)}
