"""Builders: a schedule and what becomes of its times, said in the words that matter to the test."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.firing import Firing, firing_id
from shared.domain.overlap import Start, Verdict
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, ScheduleDefinition
from shared.domain.timing import When
from tests.builders import stamp, submitted


def definition(**changes: Any) -> ScheduleDefinition:
    """Two symbols, every four hours; a firing is skipped while a run goes on."""
    fields: dict[str, Any] = {
        "name": "every-four-hours",
        "strategy_id": "sma-crossover",
        "symbols": ("AAPL", "MSFT"),
        "when": When(every_seconds=14_400.0),
        "parameters": {"fast": 20, "slow": 50},
        "labels": {"desk": "eu"},
    }
    return ScheduleDefinition(**(fields | changes))


def schedule(
    schedule_id: UUID | None = None,
    *,
    at: Stamp | None = None,
    user_id: str = "ada",
    enabled: bool = True,
    request_hash: str | None = None,
    **changes: Any,
) -> Schedule:
    """A schedule that was just created, its one event still to be collected; `changes` are those to its definition."""
    return Schedule.create(
        schedule_id or uuid4(),
        at or stamp(),
        definition=definition(**changes),
        user_id=user_id,
        enabled=enabled,
        request_hash=request_hash,
    )


def fire(
    schedule: Schedule,
    at: Stamp,
    *,
    nominal_at: datetime | None = None,
    verdict: Verdict | None = None,
    kind: FiringKind = FiringKind.SCHEDULE,
    request_id: UUID | None = None,
    ended: Iterable[UUID] = (),
) -> UUID:
    """Record what becomes of a time, which is that of `at` unless said, and return the task id of its run.

    Unless said it starts; the run itself is `scheduled_run`.
    """
    nominal = nominal_at or at.at
    task_id = firing_id(schedule.id, nominal, request_id)
    decision = Firing(nominal, task_id, verdict or Start(), kind, request_id)
    schedule.record(at, decision, ended=ended)
    return task_id


def scheduled_run(schedule: Schedule, task_id: UUID, at: Stamp, **changes: Any) -> WorkflowExecution:
    """The run of a firing, submitted at that moment for that time; with `held=True` it waits to be released."""
    fields = {"schedule_id": str(schedule.id), "scheduled_at": at.at, "user_id": schedule.state.user_id}
    return submitted(task_id, at=at, **(fields | changes))
