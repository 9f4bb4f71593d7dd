"""What the projector makes of the events of queues: a row a level, of the newest one alone."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.status.tables import queues, upsert
from shared.domain.queue_events import QueueEvent, QueuePaused
from shared.log.runs import Recorded


def project(connection: sa.Connection, batch: Sequence[Recorded]) -> None:
    """Write what a batch says of queues, other events left alone, in the caller's transaction.

    Whoever else writes these rows must wait for its end. What came before is not needed: a repeat writes the same.
    """
    newest = {row["priority"]: row for position, event in batch if (row := queue_row(position, event)) is not None}
    if newest:
        connection.execute(_UPSERT, list(newest.values()))


def queue_row(position: int, event: object) -> dict[str, Any] | None:
    """Return the row that an event at a position leaves, None for one that is not about a queue."""
    if not isinstance(event, QueueEvent):
        return None
    return {
        "priority": str(event.level),
        "paused": isinstance(event, QueuePaused),
        "changed_at": event.at,
        "changed_by": event.actor,
        "reason": event.reason,
        "position": position,
    }


_UPSERT = upsert(queues)
