"""Sums of all time, for a system that looks now and then and keeps what it saw, such as Prometheus.

Every function reads within the one transaction of its caller, which has to be REPEATABLE READ.
"""

from collections.abc import Mapping
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

Example = dict[str, Any]


def totals(connection: sa.Connection, now: datetime) -> dict[str, Any]:
    """Return what `GET /metrics/totals` tells; nothing in it goes back but what is a gauge: `tasks` and `queues`."""
    levels = waiting(connection)
    t, m = metric_tasks.c, metric_minutes.c
    sums = sa.select(m.strategy_id, m.priority, *(m[name] for name in HAPPENINGS)).where(m.minute == ALL_TIME)
    return {
        "as_of_position": read_position(connection, positions, PROJECTOR),
        "tasks": [dict(row) for row in connection.execute(sa.select(t.priority, t.status, t.count)).mappings()],
        "sums": [dict(row) for row in connection.execute(sums).mappings()],
        "histograms": _histograms(connection),
        "queues": [
            {"priority": level, "depth": found.depth, "oldest_seconds": oldest_seconds(found.since, now=now)}
            for level, found in levels.items()
        ],
    }


def _histograms(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return of each figure and level how many times were at most each bound; the last one, null, is that of all."""
    b, m = metric_buckets.c, metric_minutes.c
    counted = sa.select(b.figure, b.priority, b.bucket, sa.func.sum(b.count)).where(b.minute == ALL_TIME)
    counts: dict[tuple[str, str], dict[int, int]] = {}
    for figure, level, bucket, count in connection.execute(counted.group_by(b.figure, b.priority, b.bucket)):
        counts.setdefault((figure, level), {})[bucket] = int(count)
    took = [sa.func.sum(m[f"{figure}_microseconds"]).label(figure) for figure in FIGURES]
    summed = sa.select(m.priority, *took).where(m.minute == ALL_TIME).group_by(m.priority)
    seconds = {row["priority"]: dict(row) for row in connection.execute(summed).mappings()}
    examples = _examples(connection)
    return [
        {
            "figure": figure,
            "priority": level,
            "buckets": _cumulated(
                counts.get((figure, str(level)), {}), examples.get(str(level), {}) if figure == "duration" else {}
            ),
            "sum_seconds": float(seconds.get(str(level), {}).get(figure) or 0) / 1_000_000,
        }
        for figure in FIGURES
        for level in Priority
    ]


def _cumulated(counts: Mapping[int, int], examples: Mapping[int, Example]) -> list[dict[str, Any]]:
    buckets = []
    for octave, bound in enumerate((*OCTAVES, None)):
        last = len(BOUNDS) if bound is None else bucket_of(bound)
        count = sum(number for bucket, number in counts.items() if bucket <= last)
        bound_seconds = None if bound is None else bound / 1_000_000
        buckets.append({"le": bound_seconds, "count": count, "example": examples.get(octave)})
    return buckets


def _examples(connection: sa.Connection) -> dict[str, dict[int, Example]]:
    """Return by level and octave the trace of a task that completed lately and took so long."""
    c = workflow_executions.c
    query = (
        sa.select(c.priority, c.trace_id, c.duration_seconds, c.finished_at)
        .where(c.status == str(Status.COMPLETED))
        .order_by(c.submitted_at.desc(), c.task_id.desc())
        .limit(TRACED)
    )
    found: dict[str, dict[int, Example]] = {}
    for row in connection.execute(query):
        if row.trace_id is None or row.duration_seconds is None:
            continue
        octave = -(-bucket_of(round(row.duration_seconds * 1_000_000)) // PER_OCTAVE)
        example = {"trace_id": row.trace_id, "seconds": row.duration_seconds, "at": row.finished_at.timestamp()}
        found.setdefault(row.priority, {}).setdefault(octave, example)
    return found
