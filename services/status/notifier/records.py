"""The record of deliveries: what is due, what was tried, what became of it. Each function is part of a transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.status.notifier.audience import Recipient, topic_of
from services.status.notifier.posting import Outcome
from services.status.notifier.tables import deliveries, progress, tries
from shared.domain.webhook import DeliveryState

KEPT = timedelta(days=30)
"""How long deliveries that have ended are kept: longer than events stay published, so that none is delivered anew."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """A delivery whose time has come, held for one try."""

    delivery_id: UUID
    kind: str
    target_id: UUID
    user_id: str
    event_id: str
    body: str
    attempts: int
    earlier_attempts: int
    begun_at: datetime


def add(
    connection: sa.Connection, event: dict[str, Any], body: str, recipients: Iterable[Recipient], now: datetime
) -> int:
    """Add a delivery for each recipient that has none of this event; return how many are new."""
    rows = [
        {
            "delivery_id": each.delivery_id(event["id"]),
            "kind": each.kind,
            "target_id": each.target_id,
            "user_id": each.user_id,
            "event_id": event["id"],
            "topic": topic_of(event),
            "position": event["position"],
            "body": body,
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "earlier_attempts": 0,
            "created_at": now,
            "begun_at": now,
            "due_at": now,
            "asked_position": 0,
        }
        for each in recipients
    ]
    if not rows:
        return 0
    added = insert(deliveries).values(rows).on_conflict_do_nothing().returning(deliveries.c.delivery_id)
    return len(connection.execute(added).all())


def worked_on(connection: sa.Connection, stream: str, position: int) -> None:
    """Remember that a stream was worked on up to a position; an older one changes nothing."""
    row = insert(progress).values(stream=stream, position=position)
    newest = sa.func.greatest(progress.c.position, row.excluded.position)
    connection.execute(row.on_conflict_do_update(index_elements=[progress.c.stream], set_={"position": newest}))


def restart(connection: sa.Connection, delivery_id: UUID, target_id: UUID, *, asked: int, now: datetime) -> bool:
    """Have a delivery of a target begin anew, as was asked for at a position of the log.

    Return False when there is none, it is under way, or the request was heard before.
    """
    c = deliveries.c
    statement = (
        sa.update(deliveries)
        .where(
            c.delivery_id == delivery_id,
            c.target_id == target_id,
            c.state != DeliveryState.PENDING,
            c.asked_position < asked,
        )
        .values(
            state=DeliveryState.PENDING,
            begun_at=now,
            due_at=now,
            ended_at=None,
            earlier_attempts=c.attempts,
            asked_position=asked,
        )
    )
    return connection.execute(statement).rowcount > 0


def targets_due(connection: sa.Connection, now: datetime) -> list[UUID]:
    """Return the targets for which something is due."""
    c = deliveries.c
    statement = sa.select(c.target_id).where(c.state == DeliveryState.PENDING, c.due_at <= now).distinct()
    return list(connection.scalars(statement))


def take(connection: sa.Connection, target_id: UUID, *, most: int, now: datetime, lease: timedelta) -> list[Due]:
    """Hold up to `most` of what is due for a target, the oldest first, so that others pass over it meanwhile.

    A `lease` is longer than any try takes: after a crash it is tried again when that is over.
    """
    c = deliveries.c
    chosen = (
        sa.select(c.delivery_id)
        .where(c.state == DeliveryState.PENDING, c.target_id == target_id, c.due_at <= now)
        .order_by(c.due_at, c.position)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    held = sa.update(deliveries).where(c.delivery_id.in_(chosen)).values(due_at=now + lease, attempts=c.attempts + 1)
    held = held.returning(*(c[field.name] for field in fields(Due)))
    return [Due(**row) for row in connection.execute(held).mappings()]


def record(connection: sa.Connection, due: Due, outcome: Outcome, *, at: datetime, again_at: datetime | None) -> None:
    """Write down a try and what it leaves: delivered, due again at a time, or dead."""
    row = insert(tries).values(
        delivery_id=due.delivery_id,
        number=due.attempts,
        at=at,
        duration_seconds=outcome.duration.total_seconds(),
        status=outcome.status,
        error=outcome.error,
        answer=outcome.answer,
    )
    connection.execute(row.on_conflict_do_nothing())
    state = DeliveryState.DELIVERED if outcome.delivered else DeliveryState.PENDING if again_at else DeliveryState.DEAD
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.delivery_id == due.delivery_id, deliveries.c.attempts == due.attempts)
        .values(
            state=state,
            due_at=again_at if state is DeliveryState.PENDING else None,
            ended_at=None if state is DeliveryState.PENDING else at,
            last_status=outcome.status,
            last_error=outcome.error,
        )
    )


def give_up(connection: sa.Connection, due: Due, reason: str, now: datetime) -> None:
    """End a delivery that nobody wants any more."""
    statement = sa.update(deliveries).where(deliveries.c.delivery_id == due.delivery_id)
    connection.execute(statement.values(state=DeliveryState.DEAD, due_at=None, ended_at=now, last_error=reason))


def forget(connection: sa.Connection, now: datetime, *, most: int = 1_000) -> int:
    """Remove up to `most` deliveries that have ended and are older than `KEPT`; return how many that were."""
    c = deliveries.c
    old = sa.select(c.delivery_id).where(c.created_at < now - KEPT, c.state != DeliveryState.PENDING).limit(most)
    return connection.execute(sa.delete(deliveries).where(c.delivery_id.in_(old))).rowcount


def positions_by_stream(connection: sa.Connection) -> Sequence[tuple[str, int]]:
    """Return how far each stream was worked on."""
    return [(row.stream, row.position) for row in connection.execute(sa.select(progress))]
