"""The engine's journal on the log: what is done already, and one event for each boundary."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.executor.attempt import Attempt
from services.executor.interruption import Interrupted
from shared.domain.catalogue import OnError
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.execution_records import StepRecord, StepState
from shared.domain.failures import Failure, retry_delay
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.objects import ObjectStore
from shared.workflow.codec import decode_output, encode_output
from shared.workflow.engine import Stopped
from shared.workflow.errors import StepTimeout
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow

logger = structlog.get_logger()


class LogJournal:
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
        self._attempt = attempt
        self._steps = {step.name: step for step in workflow.steps}
        self._plan = {step.name: step for step in attempt.execution.submitted.steps}
        self._objects = objects
        self._on_boundary = on_boundary
        self._finish = finish
        self._kept: list[Artifact] = []

    def is_done(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position is over."""
        record = self._record(step, symbol)
        return record is not None and record.settled

    def has_failed(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position failed and was collected."""
        record = self._record(step, symbol)
        return record is not None and record.state is StepState.FAILED

    def value(self, step: str, symbol: str | None) -> Any:
        """Return what a position returned, decoded from the log or the object store."""
        record = self._record(step, symbol)
        if record is None or record.output is None:
            raise LookupError(f"step {step!r} has no output for {symbol}: it is not completed")
        return decode_output(self._steps[step], record.output, store=self._objects)

    def begin(self, step: Step, symbol: str | None) -> None:
        """Start the clock of a position; raises Stopped when the run's time is over."""
        if self._attempt.interruption.noted:
            self._attempt.obey()
        self._attempt.step_started_at = self._attempt.now()
        self._kept = []
        self._attempt.check_deadline()
        self._on_boundary(self._attempt.execution)

    def call(self, step: Step, symbol: str | None, body: Callable[[], Any]) -> Any:
        """Let the step's own code run until it returns, is interrupted, or its time or the run's is over."""
        left = self._attempt.remaining()
        seconds = self._plan[step.name].timeout_seconds
        own = timedelta(seconds=seconds) if seconds is not None and seconds < left.total_seconds() else None
        try:
            return self._attempt.interruption.call(body, limit=own or left)
        except Interrupted:
            if not self._attempt.interruption.expired:
                raise
        if own is None:
            self._attempt.time_out(step=step.name, symbol=symbol)
        raise StepTimeout(
            f"Step {step.name!r} took longer than its {own.total_seconds():g} s. Raise its timeout=, or let it do less."
        )

    def keep(self, artifact: Artifact) -> None:
        """Remember what the running position kept for people; it is recorded when the position completes."""
        self._kept.append(artifact)

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
        retry = self._attempt.execution.retries(step.name, symbol) + 1
        if failure.retryable and retry <= self._max_retries(step):
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

    def _retry_at(self, step: Step, failure: Failure, retry: int) -> datetime:
        asked, submitted = failure.retry_after_seconds, self._attempt.execution.submitted
        own = self._plan[step.name].retry_delay_seconds
        delay = retry_delay(
            retry,
            first=timedelta(seconds=submitted.retry_delay_seconds if own is None else own),
            retry_after=timedelta(seconds=asked) if asked is not None else None,
            jitter=submitted.retry_jitter * random.random(),
        )
        return self._attempt.now() + delay

    def _max_retries(self, step: Step) -> int:
        """Return the limit that was pinned when the run was submitted, not what the step says by now."""
        own = self._plan[step.name].max_retries
        return self._attempt.execution.submitted.max_retries if own is None else own

    def _record(self, step: str, symbol: str | None) -> StepRecord | None:
        return self._attempt.execution.steps.get((step, symbol))

    def _report(self, event: str, step: Step, symbol: str | None, **more: Any) -> None:
        elapsed = self._attempt.now() - self._attempt.step_started_at
        logger.info(event, step=step.name, symbol=symbol, seconds=round(elapsed.total_seconds(), 6), **more)
