"""One attempt of one run, as the worker that claimed it writes to the log.

It holds the run's fold in memory and appends at the expected version, so that no step needs a reload. When somebody
else has appended in between, it reloads; if the attempt still runs, the finished boundary goes in first, and then it
obeys (docs/rules.md, "Ending").
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import structlog

from services.executor.interruption import Interruption
from services.executor.stamps import Clock, worker_stamp
from shared.domain.errors import Refused, VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.failures import Failure, timeout_failure
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.workflow.engine import Stopped

logger = structlog.get_logger()

Decide = Callable[[WorkflowExecution, Stamp], None]
"""What to append, decided on the run as it is; called again after a reload."""


class Attempt:
    """Attempt `number` of `execution`, which this worker has claimed."""

    def __init__(
        self, log: EventLog, execution: WorkflowExecution, *, worker: str, now: Clock, interruption: Interruption
    ) -> None:
        self._execution = execution
        self.interruption = interruption
        self._in_doubt = False
        self.number = execution.attempts
        self.now = now
        self.step_started_at = now()
        self._log = log
        self._worker = worker

    @property
    def execution(self) -> WorkflowExecution:
        """Return the run as the log has it: read again after an append of which nobody knows whether it was stored."""
        if self._in_doubt:
            self._execution = self._log.execution(self._execution.id)
            self._in_doubt = False
        return self._execution

    def append(self, decide: Decide, *, may_yield: bool = False) -> None:
        """Append what `decide` does to a running run, on whatever has happened meanwhile.

        Raises Stopped when the run was cancelled, or when another attempt has taken its place. With `may_yield` it is a
        safe point: an attempt that was asked to make way does so, in the same append.
        """
        while True:
            stamp = worker_stamp(self._worker, self.now)
            execution = self.execution
            self._in_doubt = True
            try:
                decide(execution, stamp)
                if execution.phase is Phase.CANCELLING:
                    execution.end_cancelled(stamp, attempt=self.number)
                elif may_yield and execution.phase is Phase.RUNNING and execution.yields_to is not None:
                    execution.make_way(stamp, attempt=self.number)
                self._log.save_execution(execution)
            except VersionConflict:
                continue
            except Refused as refusal:
                logger.warning("execution.attempt_lost", reason=str(refusal))
                raise Stopped from refusal
            self._in_doubt = False
            if execution.phase is Phase.CANCELLED:
                logger.info("execution.cancelled", reason=execution.cancel_reason)
                raise Stopped
            if execution.phase is Phase.PREEMPTED:
                logger.info("execution.preempted", preempted_by=execution.preempted_by)
                raise Stopped
            return

    def obey(self) -> None:
        """Look at the log and do what it asks of an attempt that was cut short; raises Stopped then.

        It returns when nothing is asked, or not any more: the attempt goes on with the position it was at.
        """
        self.interruption.noted = False
        self._in_doubt = True
        self.append(lambda run, stamp: run.require_attempt(self.number), may_yield=True)
        self.check_deadline()

    def append_unless_cancelled(self, decide: Decide) -> None:
        """Append what only a run may do that nobody has asked to stop; raises Stopped otherwise."""

        def decide_if_running(execution: WorkflowExecution, stamp: Stamp) -> None:
            if execution.phase is not Phase.CANCELLING:
                decide(execution, stamp)

        self.append(decide_if_running)

    def end_failed(self, failure: Failure, *, step: str | None = None, symbol: str | None = None) -> NoReturn:
        """End the run with `failure`, of the running step if one is named; raises Stopped."""
        self.append_unless_cancelled(
            lambda run, stamp: run.fail(
                stamp,
                attempt=self.number,
                failure=failure,
                step=step,
                symbol=symbol,
                started_at=self.step_started_at if step else None,
            )
        )
        logger.error("execution.failed", step=step, symbol=symbol, error=failure.type, traceback=failure.traceback)
        raise Stopped

    def remaining(self) -> timedelta:
        """Return what is left of the run's time at work."""
        return self.execution.time_left(self.now())

    def checkpoint(self) -> None:
        """Stop here if somebody asked for it or time is over: raises Interrupted.

        Nothing is read or appended here, in the middle of a step: an interrupt could cut it in two.
        """
        self.interruption.check()

    def check_deadline(self) -> None:
        """End the run when its time is over; raises Stopped then."""
        if self.remaining() <= timedelta():
            self.time_out()

    def time_out(self, *, step: str | None = None, symbol: str | None = None) -> NoReturn:
        """End the run because its time is over; raises Stopped."""
        self.end_failed(timeout_failure(self.execution.submitted.timeout_seconds), step=step, symbol=symbol)
