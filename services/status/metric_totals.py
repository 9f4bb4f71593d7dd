"""Sums of all time, for a system that looks now and then and keeps what it saw, such as Prometheus.

Every function reads within the one transaction of its caller, which has to be REPEATABLE READ.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.status.buckets import BOUNDS, PER_OCTAVE, bucket_of
from services.status.metric_projection import ALL_TIME
from services.status.metrics import HAPPENINGS
from services.status.projector import PROJECTOR
from services.status.queues import oldest_seconds, waiting
from services.status.tables import metric_buckets, metric_minutes, metric_tasks, positions, workflow_executions
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.log.positions import read_position

OCTAVES = BOUNDS[::PER_OCTAVE]
"""The bounds that are told, in microseconds: one an octave, each of which is a bound of the tables' buckets, too."""
TRACED = 200
"""Of so many tasks that completed lately, the traces are told as examples."""
FIGURES = ("duration", "waiting")


def totals(connection: sa.Connection, now: datetime) -> dict[str, Any]:
    """Return what `GET /metrics/totals` tells; nothing in it goes back but what is a gauge: `tasks` and `queues`."""
    levels = waiting(connection)
    t, m = metric_tasks.c, metric_minutes.c
    sums = sa.select(m.strategy_id, m.priority, *(m[name] for name in HAPPENINGS)).where(m.minute == ALL_TIME)
    return {
        "as_of_position": read_position(connection, positions, PROJECTOR),
        "tasks": [dict(row) for row in connection.execute(sa.select(t.priority, t.status, t.count)).mappings()],
        "sums": [dict(row) for row in connection.execute(sums).mappings()],
        "histograms": [_histogram(connection, figure, level) for figure in FIGURES for level in Priority],
        "queues": [
            {"priority": level, "depth": found.depth, "oldest_seconds": oldest_seconds(found.since, now=now)}
            for level, found in levels.items()
        ],
    }


def _histogram(connection: sa.Connection, figure: str, level: Priority) -> dict[str, Any]:
    """Return how many times were at most each bound; the last number, whose bound is null, is that of all."""
    b, m = metric_buckets.c, metric_minutes.c
    query = sa.select(b.bucket, sa.func.sum(b.count)).group_by(b.bucket)
    query = query.where(b.minute == ALL_TIME, b.figure == figure, b.priority == str(level))
    counts = {bucket: int(count) for bucket, count in connection.execute(query)}
    took = sa.select(sa.func.sum(m[f"{figure}_microseconds"])).where(m.minute == ALL_TIME, m.priority == str(level))
    examples = _examples(connection, level) if figure == "duration" else {}
    buckets = []
    for octave, bound in enumerate((*OCTAVES, None)):
        last = len(BOUNDS) if bound is None else bucket_of(bound)
        count = sum(number for bucket, number in counts.items() if bucket <= last)
        bound_seconds = None if bound is None else bound / 1_000_000
        buckets.append({"le": bound_seconds, "count": count, "example": examples.get(octave)})
    return {
        "figure": figure,
        "priority": level,
        "buckets": buckets,
        "sum_seconds": float(connection.scalar(took) or 0) / 1_000_000,
    }


def _examples(connection: sa.Connection, level: Priority) -> dict[int, dict[str, Any]]:
    """Return by octave the trace of a task that completed lately and took so long."""
    c = workflow_executions.c
    query = (
        sa.select(c.trace_id, c.duration_seconds, c.finished_at)
        .where(c.status == str(Status.COMPLETED))
        .order_by(c.submitted_at.desc(), c.task_id.desc())
        .limit(TRACED)
        .add_columns(c.priority)
    )
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(query):
        if row.trace_id is None or row.duration_seconds is None or row.priority != str(level):
            continue
        octave = -(-bucket_of(round(row.duration_seconds * 1_000_000)) // PER_OCTAVE)
        found.setdefault(
            octave, {"trace_id": row.trace_id, "seconds": row.duration_seconds, "at": row.finished_at.timestamp()}
        )
    return found
