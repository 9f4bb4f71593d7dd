"""Tasks that go on because somebody asks for it: those that wait for a retry, and those that have ended."""

from uuid import UUID

from services.gateway.credentials import Caller
from services.gateway.decisions import Decisions
from shared.domain.execution import WorkflowExecution


class Retries:
    """Appends `RetryDue` before its time, for branches `BranchRetryDue`, and `Restarted` to a run that has ended."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def retry(self, caller: Caller, task_id: UUID) -> WorkflowExecution:
        """Let a task that waits for a retry go on now, or one that has failed or was cancelled, from where it ended.

        One whose retry is due already stays as it is. Raises AlreadyFinished for one that has succeeded,
        NotRetrying, and what `Decisions.decide` raises.
        """
        return await self._decisions.decide(caller, task_id, WorkflowExecution.retry_now)
