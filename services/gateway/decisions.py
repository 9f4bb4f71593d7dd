"""Deciding about one task: from its record, never from a projection, and again when the task moves on meanwhile."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller, NotYourTask, Role
from services.gateway.recent_writes import RecentWrites
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.log.async_event_log import AsyncEventLog

MOST_TRIES = 5
"""A run appends a few events a second at most; five conflicts in a row mean that something else is wrong."""

Command = Callable[[WorkflowExecution, Stamp], None]


class Decisions:
    """Reads a run, lets a command decide, and appends what it decides, in the name of a caller who may."""

    def __init__(self, log: AsyncEventLog, writes: RecentWrites, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._writes = writes
        self._now = now

    async def decide(self, caller: Caller, task_id: UUID, command: Command) -> WorkflowExecution:
        """Return the run after `command`, which is durable then.

        Raises NotFound, NotYourTask, what the command raises, Unavailable, and VersionConflict after `MOST_TRIES`.
        """
        return await until_agreed(lambda: self._try(caller, task_id, command), tries=MOST_TRIES)

    async def _try(self, caller: Caller, task_id: UUID, command: Command) -> WorkflowExecution:
        execution = await self._log.execution(task_id)
        require_own(caller, execution)
        command(execution, self.stamp(caller))
        if await self._log.save_execution(execution):
            self._writes.note(task_id, execution.events)
        return execution

    def stamp(self, caller: Caller) -> Stamp:
        """Return who decides now."""
        return stamp_of(caller, self._now())


def require_own(caller: Caller, execution: WorkflowExecution) -> None:
    """Raise NotYourTask unless the caller may act on a task: its owner, and admins."""
    owner = execution.submitted.user_id
    if owner != caller.user_id and not caller.role.covers(Role.ADMIN):
        raise NotYourTask(f"Task {execution.id} belongs to {owner}: only they and admins may change it.")
