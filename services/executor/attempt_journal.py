"""What the journals of a run's main line and of its branches have in common: the record so far, and calling a step."""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog

from services.executor.attempt import Attempt
from services.executor.branch_attempt import BranchAttempt
from services.executor.interruption import Interrupted
from shared.domain.execution_events import Artifact
from shared.domain.execution_records import StepRecord, StepState
from shared.domain.failures import Failure, retry_delay
from shared.objects import ObjectStore
from shared.telemetry import span
from shared.workflow.codec import decode_output
from shared.workflow.errors import StepTimeout
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow

logger = structlog.get_logger()

AnyAttempt = TypeVar("AnyAttempt", Attempt, BranchAttempt)


class AttemptJournal(Generic[AnyAttempt]):
    """The record of a run, and the clock and the interrupts of one attempt."""

    def __init__(self, attempt: AnyAttempt, workflow: Workflow, *, objects: ObjectStore) -> None:
        self._attempt: AnyAttempt = attempt
        self._steps = {step.name: step for step in workflow.steps}
        self._plan = {step.name: step for step in attempt.execution.submitted.steps}
        self._objects = objects
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

    def call(self, step: Step, symbol: str | None, body: Callable[[], Any]) -> Any:
        """Let the step's own code run until it returns, is interrupted, or its time or the run's is over.

        What it logs, by whichever logger, bears the step and the symbol.
        """
        where = {"step": step.name} | ({"symbol": symbol} if symbol is not None else {})
        attributes = {f"blotter.{name}": value for name, value in where.items()}
        # No interrupt hits here: the window is open within the step's own code alone.
        with structlog.contextvars.bound_contextvars(**where), span(f"step {step.name}", attributes=attributes):
            return self._call(step, symbol, body)

    def _call(self, step: Step, symbol: str | None, body: Callable[[], Any]) -> Any:
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
        took = f"Step {step.name!r} took longer than its {seconds:g} s"
        raise StepTimeout(f"{took}. Raise its timeout=, or let it do less.")

    def keep(self, artifact: Artifact) -> None:
        """Remember what the running position kept for people; it is recorded when the position completes."""
        self._kept.append(artifact)

    def _retry(self, step: Step, symbol: str | None, failure: Failure) -> int | None:
        """Return the number of the retry that a failure is worth; None when it is final.

        The limit is the one that was pinned when the run was submitted, not what the step says by now.
        """
        retry = self._attempt.execution.retries(step.name, symbol) + 1
        own = self._plan[step.name].max_retries
        most = self._attempt.execution.submitted.max_retries if own is None else own
        return retry if failure.retryable and retry <= most else None

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

    def _record(self, step: str, symbol: str | None) -> StepRecord | None:
        return self._attempt.execution.steps.get((step, symbol))

    def _report(self, event: str, step: Step, symbol: str | None, *, level: int = logging.INFO, **more: Any) -> None:
        elapsed = self._attempt.now() - self._attempt.step_started_at
        logger.log(level, event, step=step.name, symbol=symbol, seconds=round(elapsed.total_seconds(), 6), **more)
