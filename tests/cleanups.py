"""Builders: what retention says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shared.domain.deciding import metadata
from shared.domain.retention_events import RETENTION_ID, CleanupFinished, ExecutionsExpired, KindReport
from tests.builders import NOW, stamp


def cleanup_finished(version: int = 1, **changes: Any) -> CleanupFinished:
    """A clean-up that took a second, and could do one of two things."""
    fields: dict[str, Any] = {
        "started_at": NOW,
        "kinds": (
            KindReport(kind="results", counts={"found": 3, "given_a_time_to_live": 1}, seconds=0.5),
            KindReport(kind="objects", counts={}, seconds=0.25, error="the store is away"),
        ),
    }
    return CleanupFinished(
        originator_id=RETENTION_ID, originator_version=version, **metadata(stamp(1)), **(fields | changes)
    )


def executions_expired(through: int, *, version: int = 1, before: datetime | None = None) -> ExecutionsExpired:
    """The rows of all runs go that had ended at the position `through`, unless they were submitted after `before`."""
    return ExecutionsExpired(
        originator_id=RETENTION_ID,
        originator_version=version,
        **metadata(stamp(2)),
        before=before or NOW + timedelta(days=1),
        through=through,
    )
