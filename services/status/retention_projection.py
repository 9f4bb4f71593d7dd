"""What the projector makes of retention: rows that go, and a row for each clean-up."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from services.status.metric_projection import ALL_TIME
from services.status.tables import (
    cleanups,
    execution_steps,
    metric_buckets,
    metric_minutes,
    orders,
    upsert,
    workflow_executions,
)
from shared.domain.phases import Phase, status
from shared.domain.retention_events import CleanupFinished, ExecutionsExpired
from shared.log.runs import Recorded

ENDED = tuple(sorted({str(status(phase)) for phase in Phase if phase.ended}))


def parts(batch: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """Cut a batch behind each expiry: rows go by what the log said up to there, however it is cut into batches.

    What comes later may bring a run back, which must not go then.
    """
    start = 0
    for end, recorded in enumerate(batch, start=1):
        if isinstance(recorded.event, ExecutionsExpired):
            yield batch[start:end]
            start = end
    if start < len(batch):
        yield batch[start:]


def project(connection: sa.Connection, batch: Sequence[Recorded]) -> None:
    """Write what a part of a batch says of retention, other events left alone, in the caller's transaction.

    The rows of its runs must be written before.
    """
    if rows := [cleanup_row(position, event) for position, event in batch if isinstance(event, CleanupFinished)]:
        connection.execute(_UPSERT, rows)
    if batch and isinstance(expired := batch[-1].event, ExecutionsExpired):
        _expire(connection, expired)


def cleanup_row(position: int, event: CleanupFinished) -> dict[str, Any]:
    """Return the row of a clean-up."""
    return {
        "position": position,
        "started_at": event.started_at,
        "finished_at": event.at,
        "kinds": [msgspec.to_builtins(kind) for kind in event.kinds],
    }


def _expire(connection: sa.Connection, expired: ExecutionsExpired) -> None:
    """Remove the rows of runs, and the minutes of metrics that are as old; the time of submission is for its index."""
    c = workflow_executions.c
    gone = connection.scalars(
        sa.delete(workflow_executions)
        .where(c.submitted_at < expired.before, c.position <= expired.through, c.status.in_(ENDED))
        .returning(c.task_id)
    ).all()
    for counted in (metric_minutes, metric_buckets):
        minute = counted.c.minute
        connection.execute(sa.delete(counted).where(minute > ALL_TIME, minute < expired.before))
    if gone:
        for table in (execution_steps, orders):
            connection.execute(sa.delete(table).where(table.c.task_id == sa.any_(sa.bindparam("gone", gone, _IDS))))


_IDS = sa.ARRAY(workflow_executions.c.task_id.type)
_UPSERT = upsert(cleanups)
