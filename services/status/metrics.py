"""The figures of the system, summed up from what the projector has counted.

Every function reads within the one transaction of its caller, which has to be REPEATABLE READ: all figures are then of
the one position that is read with them.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from services.status.buckets import percentile
from services.status.metric_projection import ALL_TIME
from services.status.projector import PROJECTOR
from services.status.queues import oldest_seconds, waiting
from services.status.tables import columns, metric_buckets, metric_minutes, metric_tasks, positions
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.log.positions import read_position

MINUTE = timedelta(minutes=1)
NINETY_FIVE = 0.95
_WORDS = {
    Status.QUEUED: "queued",
    Status.RUNNING: "active",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.RETRYING: "retrying",
    Status.PREEMPTED: "preempted",
    Status.CANCELLED: "cancelled",
}
"""The words of `GET /api/metrics` for the statuses of tasks."""
HAPPENINGS = ("submitted", "started", "completed", "failed", "cancelled", "retried", "preempted")
"""What is told of each minute as a number."""
_SUMS = tuple(name for name in columns(metric_minutes) if name not in ("minute", "strategy_id", "priority"))


class Part(msgspec.Struct, frozen=True):
    """Which tasks a history is about: those of a strategy, or of a level; all where None."""

    strategy_id: str | None = None
    priority: Priority | None = None


def minute_of(moment: datetime) -> datetime:
    """Return the beginning of the minute that a moment lies in."""
    return moment.replace(second=0, microsecond=0)


def figures(connection: sa.Connection, window: timedelta, now: datetime) -> dict[str, Any]:
    """Return what `GET /metrics` tells of tasks and queues, and the position that it is of.

    What is told of a time is that of the whole minutes since `window_from`, `window` ago or up to a minute earlier, and
    of the minute that runs.
    """
    since = minute_of(now - window)
    sums = _sums_since(connection, since)
    levels = waiting(connection)
    return {
        "as_of_position": read_position(connection, positions, PROJECTOR),
        "tasks": _tasks(connection),
        "average_duration_seconds": _average(sums["duration_microseconds"], sums["completed"]),
        "p95_duration_seconds": percentile(_buckets_since(connection, since, "duration"), NINETY_FIVE),
        "average_waiting_seconds": _average(sums["waiting_microseconds"], sums["waited"]),
        "p95_waiting_seconds": percentile(_buckets_since(connection, since, "waiting"), NINETY_FIVE),
        "throughput_per_minute": sums["completed"] / ((now - since) / MINUTE),
        "queue_length": {level: levels[level].depth for level in Priority},
        "queue_oldest_seconds": {level: oldest_seconds(levels[level].since, now=now) for level in Priority},
        "window_seconds": int(window.total_seconds()),
        "window_from": since,
    }


def history(connection: sa.Connection, minutes: int, part: Part, now: datetime) -> dict[str, Any]:
    """Return a point for each of the last `minutes`, oldest first; the last one is the minute that runs."""
    first = minute_of(now) - (minutes - 1) * MINUTE
    sums = {row.minute: row for row in connection.execute(_minutes_since(first, part, metric_minutes.c.minute))}
    times: dict[datetime, dict[int, int]] = {}
    for minute, bucket, count in connection.execute(_bucket_minutes(first, part)):
        times.setdefault(minute, {})[bucket] = int(count)
    moments = [first + number * MINUTE for number in range(minutes)]
    return {
        "as_of_position": read_position(connection, positions, PROJECTOR),
        "points": [_point(minute, sums.get(minute), times.get(minute, {})) for minute in moments],
    }


def _point(minute: datetime, row: sa.Row[Any] | None, times: dict[int, int]) -> dict[str, Any]:
    sums = dict.fromkeys(_SUMS, 0) if row is None else {name: int(row._mapping[name]) for name in _SUMS}
    return {
        "at": minute,
        **{name: sums[name] for name in HAPPENINGS},
        "average_duration_seconds": _average(sums["duration_microseconds"], sums["completed"]),
        "p95_duration_seconds": percentile(times, NINETY_FIVE),
        "average_waiting_seconds": _average(sums["waiting_microseconds"], sums["waited"]),
    }


def _tasks(connection: sa.Connection) -> dict[str, int]:
    c = metric_tasks.c
    counts = {status: int(count) for status, count in connection.execute(_by(c.status, sa.func.sum(c.count)))}
    return {word: counts.get(status, 0) for status, word in _WORDS.items()}


def _sums_since(connection: sa.Connection, since: datetime) -> Counter[str]:
    row = connection.execute(_minutes_since(since, Part())).one()
    return Counter({name: int(row._mapping[name] or 0) for name in _SUMS})


def _buckets_since(connection: sa.Connection, since: datetime, figure: str) -> dict[int, int]:
    c = metric_buckets.c
    query = _by(c.bucket, sa.func.sum(c.count)).where(c.minute >= since, c.figure == figure)
    return {bucket: int(count) for bucket, count in connection.execute(query)}


def _by(key: sa.Column[Any], *sums: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(key, *sums).group_by(key)


def _minutes_since(since: datetime, part: Part, *keys: sa.Column[Any]) -> sa.Select[Any]:
    c = metric_minutes.c
    sums = [sa.func.sum(c[name]).label(name) for name in _SUMS]
    return sa.select(*keys, *sums).where(c.minute >= since, *_conditions(metric_minutes, part)).group_by(*keys)


def _bucket_minutes(since: datetime, part: Part) -> sa.Select[Any]:
    c = metric_buckets.c
    conditions = (c.minute >= since, c.figure == "duration", *_conditions(metric_buckets, part))
    return sa.select(c.minute, c.bucket, sa.func.sum(c.count)).where(*conditions).group_by(c.minute, c.bucket)


def _conditions(table: sa.Table, part: Part) -> Sequence[sa.ColumnElement[bool]]:
    wanted = {"strategy_id": part.strategy_id, "priority": part.priority and str(part.priority)}
    return [table.c.minute > ALL_TIME, *(table.c[name] == value for name, value in wanted.items() if value is not None)]


def _average(microseconds: int, count: int) -> float | None:
    return microseconds / count / 1_000_000 if count else None
