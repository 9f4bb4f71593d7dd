"""The engine's journal on a run's main line: what is done already, and one event for each boundary."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from services.executor.attempt import Attempt
from services.executor.attempt_journal import AttemptJournal
from services.executor.interruption import stop_if_ending
from shared.domain.catalogue import OnError
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.failures import Failure
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.objects import ObjectStore
from shared.workflow.codec import encode_output
from shared.workflow.engine import Member, Stopped
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow

logger = structlog.get_logger()


class LogJournal(AttemptJournal[Attempt]):
    """Keeps the record of one attempt; `finish` makes the result of a run whose steps are all settled."""

    def __init__(
        self,
        attempt: Attempt,
        workflow: Workflow,
        *,
        objects: ObjectStore,
        on_boundary: Callable[[WorkflowExecution], None],
        finish: Callable[[WorkflowExecution], Output],
    ) -> None:
        super().__init__(attempt, workflow, objects=objects)
        self._on_boundary = on_boundary
        self._finish = finish

    def begin(self, step: Step, symbol: str | None) -> None:
        """Start the clock of a position; raises Stopped when the run's time is over."""
        super().begin(step, symbol)
        self._on_boundary(self._attempt.execution)

    def fork(self, members: Sequence[Member]) -> None:
        """Open a stage, which ends this attempt: its members run as tasks of their own. Always raises Stopped."""
        keys = [(member.step.name, member.symbol) for member in members]
        self._attempt.append_unless_cancelled(
            lambda run, stamp: run.open_stage(stamp, attempt=self._attempt.number, members=keys)
        )
        logger.info("stage.opened", steps=sorted({step for step, _ in keys}), members=len(keys))
        self._on_boundary(self._attempt.execution)
        raise Stopped

    def complete(self, step: Step, symbol: str | None, value: Any, *, last: bool) -> None:
        """Append what a position returned; with the last one the run succeeds in the same append."""
        output = encode_output(step, value, store=self._objects)

        def decide(execution: WorkflowExecution, stamp: Stamp) -> None:
            execution.complete_step(
                stamp,
                attempt=self._attempt.number,
                step=step.name,
                symbol=symbol,
                output=output,
                started_at=self._attempt.step_started_at,
                artifacts=tuple(self._kept),
            )
            if last and execution.phase is Phase.RUNNING:
                execution.succeed(stamp, attempt=self._attempt.number, result=self._finish(execution))

        self._attempt.append(decide, may_yield=True)
        self._report("step.completed", step, symbol)

    def succeed(self) -> None:
        """End the run if no position was its last: the final one failed and was collected, or all were done."""
        if self._attempt.execution.phase is Phase.RUNNING:
            self._attempt.append_unless_cancelled(
                lambda run, stamp: run.succeed(stamp, attempt=self._attempt.number, result=self._finish(run))
            )

    def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Append a retry, a collected failure or the run's end; raises Stopped unless it was collected."""
        stop_if_ending()
        if (retry := self._retry(step, symbol, failure)) is not None:
            self._schedule_retry(step, symbol, failure, retry)
        elif step.on_error is OnError.COLLECT and symbol is not None:
            self._collect(step, symbol, failure)
        else:
            self._attempt.end_failed(failure, step=step.name, symbol=symbol)

    def _collect(self, step: Step, symbol: str, failure: Failure) -> None:
        self._attempt.append(
            lambda run, stamp: run.collect_failure(
                stamp,
                attempt=self._attempt.number,
                step=step.name,
                symbol=symbol,
                failure=failure,
                started_at=self._attempt.step_started_at,
            ),
            may_yield=True,
        )
        self._report("step.failure_collected", step, symbol, error=failure.type, message=failure.message)

    def _schedule_retry(self, step: Step, symbol: str | None, failure: Failure, retry: int) -> None:
        due_at = self._retry_at(step, failure, retry)
        self._attempt.append_unless_cancelled(
            lambda run, stamp: run.schedule_retry(
                stamp,
                attempt=self._attempt.number,
                step=step.name,
                symbol=symbol,
                failure=failure,
                started_at=self._attempt.step_started_at,
                due_at=due_at,
            )
        )
        self._report("step.retry_scheduled", step, symbol, retry=retry, due_at=f"{due_at}", error=failure.type)
        raise Stopped
