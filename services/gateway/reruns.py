"""Running a task once more, as a new one: from its start, or from a step on with what the steps before it have made.

::

    NotRerunnable               the task has not ended, or an earlier step is not done
    └── DefinitionChanged       the strategy is not the one that the task was pinned to
"""

from collections.abc import Set as AbstractSet
from itertools import takewhile
from uuid import UUID

from services.gateway.bodies import RerunRequest, TaskRequest
from services.gateway.credentials import Caller
from services.gateway.decisions import require_own
from services.gateway.problems import invalid_input
from services.gateway.submissions import Accepted, Begin, Submissions
from shared.domain.branch_events import BranchCompleted
from shared.domain.errors import FieldError, NotRerunnable
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact, StepCompleted, StepsTakenOver, TakenStep
from shared.domain.execution_records import StepKey, StepState
from shared.domain.phases import status
from shared.log.async_event_log import AsyncEventLog


class DefinitionChanged(NotRerunnable):
    """What the steps of the task have made may not fit the strategy as it is now."""

    code = "definition_changed"


class Reruns:
    """Submits tasks again. Orders are never taken over: a step that trades, and runs again, places new ones.

    Their ids derive from the id of the new task, so that no venue takes them for the old ones.
    """

    def __init__(self, log: AsyncEventLog, submissions: Submissions) -> None:
        self._log = log
        self._submissions = submissions

    async def rerun(self, caller: Caller, task_id: UUID, body: RerunRequest, key: str | None) -> Accepted:
        """Record a new task whose parent is `task_id`, by the strategy's definition as it is now.

        Raises NotFound, NotYourTask, InvalidInput, KeyReused, Unavailable, and NotRerunnable when it cannot begin with
        the step that was named.
        """
        parent = await self._log.execution(task_id)
        require_own(caller, parent)
        begin = None if body.from_step is None else await self._begin_with(parent, body.from_step)
        return await self._submissions.submit_again(caller, parent, _request(parent, body), body, key, begin=begin)

    async def _begin_with(self, parent: WorkflowExecution, step: str) -> Begin:
        """Return what lets a new run begin with `step`; it raises InvalidInput and NotRerunnable."""
        done = frozenset(key for key in _before(parent, step) if _is_completed(parent, key))
        artifacts = tuple((await self._kept(parent.id, done)).values()) if parent.artifacts else ()

        def begin(run: WorkflowExecution, stamp: Stamp) -> None:
            _require_rerunnable(parent, run.submitted.definition_hash)
            if steps := taken_steps(parent, step):
                run.take_over(stamp, from_task=str(parent.id), steps=steps, artifacts=artifacts)

        return begin

    async def _kept(self, task_id: UUID, keys: AbstractSet[StepKey]) -> dict[str, Artifact]:
        """Return, by name, what these steps have kept for people, oldest first.

        Of what a task has taken over, its record does not say which step kept it. Unless all of it is wanted, the task
        that it was taken from is asked.
        """
        kept: dict[str, Artifact] = {}
        for _, event in await self._log.history(task_id):
            match event:
                case StepCompleted() | BranchCompleted() if (event.step, event.symbol) in keys:
                    kept.update((artifact.name, artifact) for artifact in event.artifacts)
                case StepsTakenOver() if event.artifacts:
                    taken = {(step.step, step.symbol) for step in event.steps if step.failure is None}
                    if taken <= keys:
                        kept.update((artifact.name, artifact) for artifact in event.artifacts)
                    elif wanted := taken & keys:
                        kept.update(await self._kept(UUID(event.from_task), wanted))
        return kept


def taken_steps(parent: WorkflowExecution, from_step: str) -> tuple[TakenStep, ...]:
    """Return what a run has made of all its steps before `from_step`, in the order of its plan.

    Raises InvalidInput for a step that it does not have, and NotRerunnable unless all of them are done.
    """
    names = [step.name for step in parent.submitted.steps]
    if from_step not in names:
        raise invalid_input([FieldError("from_step", f"is none of this task's steps: use one of {', '.join(names)}")])
    earlier = _before(parent, from_step)
    if (left := next((key for key in earlier if not _is_done(parent, key)), None)) is not None:
        of_symbol = f" for {left[1]}" if left[1] else ""
        raise NotRerunnable(
            f"Step {left[0]!r} of task {parent.id} is not done{of_symbol}, and {from_step!r} comes after it: begin "
            f"with {left[0]!r} or before it, or let the task itself go on with POST /api/tasks/{parent.id}/retry."
        )
    return tuple(
        TakenStep(step=record.step, symbol=record.symbol, output=record.output, failure=record.failure)
        for key in earlier
        if (record := parent.steps.get(key)) is not None
    )


def _require_rerunnable(parent: WorkflowExecution, definition_hash: str) -> None:
    """Raise NotRerunnable unless the run has ended, by this definition."""
    if not parent.phase.ended:
        raise NotRerunnable(
            f"Task {parent.id} is {status(parent.phase)}. Wait for its end or cancel it before it is rerun from a step "
            "on, or rerun it without from_step."
        )
    if parent.submitted.definition_hash != definition_hash:
        raise DefinitionChanged(
            f"Strategy {parent.submitted.strategy_id!r} has changed since task {parent.id} was submitted, and the "
            "outputs of its steps may not fit any more. Rerun it without from_step."
        )


def _before(parent: WorkflowExecution, step: str) -> list[StepKey]:
    return list(takewhile(lambda key: key[0] != step, parent.positions()))


def _is_completed(parent: WorkflowExecution, key: StepKey) -> bool:
    record = parent.steps.get(key)
    return record is not None and record.state is StepState.COMPLETED


def _is_done(parent: WorkflowExecution, key: StepKey) -> bool:
    """Tell whether the run could go on after this step and symbol; after the failure that ended it, it could not."""
    ended_by = parent.failure and (parent.failure.step, parent.failure.symbol)
    return parent.is_settled(key) and key != ended_by


def _request(parent: WorkflowExecution, body: RerunRequest) -> TaskRequest:
    """Return what the new task asks for. What it has from the old one was checked then, by the rules of then."""
    submitted = parent.submitted
    return TaskRequest.model_construct(
        strategy_id=submitted.strategy_id,
        symbols=list(submitted.symbols),
        priority=body.priority or submitted.priority,
        parameters=submitted.parameters if body.parameters is None else body.parameters,
        max_retries=submitted.max_retries,
        timeout_seconds=submitted.timeout_seconds,
        result_ttl_seconds=submitted.result_ttl_seconds,
        labels=submitted.labels,
    )
