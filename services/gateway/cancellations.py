"""Cancelling one task: decided from its record, never from a projection."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.gateway.credentials import Caller, NotYourTask, Role
from services.gateway.recent_writes import RecentWrites
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase, Status, status
from shared.log.async_event_log import AsyncEventLog
from shared.telemetry import current_traceparent

MOST_TRIES = 5
"""A run appends a few events a second at most; five conflicts in a row mean that something else is wrong."""


@dataclass(frozen=True, kw_only=True)
class Cancellation:
    """A task after it was cancelled, and its status before."""

    execution: WorkflowExecution
    was: Status

    @property
    def ended(self) -> bool:
        """Tell whether the task has stopped; otherwise its worker has yet to obey."""
        return self.execution.phase is Phase.CANCELLED


class Cancellations:
    """Appends `CancelRequested`, and `Cancelled` with it for a run that no worker holds."""

    def __init__(
        self, log: AsyncEventLog, writes: RecentWrites, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._log = log
        self._writes = writes
        self._now = now

    async def cancel(self, caller: Caller, task_id: UUID, reason: str | None) -> Cancellation:
        """Cancel a task; one that is cancelled already stays as it is.

        Raises NotFound, NotYourTask, AlreadyFinished, Unavailable, and VersionConflict after `MOST_TRIES`.
        """
        for _ in range(MOST_TRIES - 1):
            try:
                return await self._try(caller, task_id, reason)
            except VersionConflict:
                continue  # the run has moved on: decide again from what it is now
        return await self._try(caller, task_id, reason)

    async def _try(self, caller: Caller, task_id: UUID, reason: str | None) -> Cancellation:
        execution = await self._log.execution(task_id)
        owner = execution.submitted.user_id
        if owner != caller.user_id and not caller.role.covers(Role.ADMIN):
            raise NotYourTask(f"Task {task_id} belongs to {owner}: ask them or an admin to cancel it.")
        was = status(execution.phase)
        stamp = Stamp(at=self._now(), actor=f"user:{caller.user_id}", trace=current_traceparent())
        execution.request_cancel(stamp, reason=reason or None)
        events = execution.collect_events()
        if events:
            await self._log.append(events)
            self._writes.note(task_id, execution.version)
        return Cancellation(execution=execution, was=was)
