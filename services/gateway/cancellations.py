"""Cancelling one task."""

from dataclasses import dataclass
from uuid import UUID

from services.gateway.credentials import Caller
from services.gateway.decisions import Decisions
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase, Status, status


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

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def cancel(self, caller: Caller, task_id: UUID, reason: str | None) -> Cancellation:
        """Cancel a task; one that is cancelled already stays as it is.

        Raises AlreadyFinished, and what `Decisions.decide` raises.
        """
        was = Status.QUEUED

        def request(execution: WorkflowExecution, stamp: Stamp) -> None:
            nonlocal was
            was = status(execution.phase)
            execution.request_cancel(stamp, reason=reason or None)

        execution = await self._decisions.decide(caller, task_id, request)
        return Cancellation(execution=execution, was=was)
