"""Retries that somebody does not want to wait for."""

from uuid import UUID

from services.gateway.credentials import Caller
from services.gateway.decisions import Decisions
from shared.domain.execution import WorkflowExecution


class Retries:
    """Appends `RetryDue` before its time."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def retry(self, caller: Caller, task_id: UUID) -> WorkflowExecution:
        """Let a task that waits for a retry go on now; one whose retry is due already stays as it is.

        Raises AlreadyFinished, NotRetrying, and what `Decisions.decide` raises.
        """
        return await self._decisions.decide(caller, task_id, WorkflowExecution.retry_now)
