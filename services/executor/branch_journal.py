"""The engine's journal on one branch: one position, each of whose ends is one event in the branch's own stream."""

import logging
from collections.abc import Sequence
from typing import Any

from services.executor.attempt_journal import AttemptJournal
from services.executor.branch_attempt import BranchAttempt
from services.executor.interruption import stop_if_ending
from shared.domain.catalogue import OnError
from shared.domain.failures import Failure
from shared.workflow.codec import encode_output
from shared.workflow.engine import Member, Stopped
from shared.workflow.steps import Step


class BranchJournal(AttemptJournal[BranchAttempt]):
    """Keeps the record of one attempt of a branch."""

    def fork(self, members: Sequence[Member]) -> None:
        """Refuse: a branch has no stages of its own."""
        raise AssertionError(f"a branch was to open a stage of {len(members)} members")

    def complete(self, step: Step, symbol: str | None, value: Any, *, last: bool) -> None:
        """Append what the step returned, also while the run is being cancelled."""
        output = encode_output(step, value, store=self._objects)
        self._attempt.append(
            lambda branch, stamp: branch.complete(
                stamp,
                attempt=self._attempt.number,
                output=output,
                started_at=self._attempt.step_started_at,
                artifacts=tuple(self._kept),
            ),
            finishing=True,
        )
        self._report("step.completed", step, symbol)

    def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Append a retry or the branch's failure, with which its run fails unless it collects; raises Stopped."""
        stop_if_ending()
        if (retry := self._retry(step, symbol, failure)) is not None:
            due_at = self._retry_at(step, failure, retry)
            self._attempt.append(
                lambda branch, stamp: branch.schedule_retry(
                    stamp,
                    attempt=self._attempt.number,
                    failure=failure,
                    started_at=self._attempt.step_started_at,
                    due_at=due_at,
                )
            )
            self._report("step.retry_scheduled", step, symbol, retry=retry, due_at=f"{due_at}", error=failure.type)
        else:
            self._attempt.append(
                lambda branch, stamp: branch.fail(
                    stamp, attempt=self._attempt.number, failure=failure, started_at=self._attempt.step_started_at
                )
            )
            level = logging.INFO if step.on_error is OnError.COLLECT else logging.ERROR
            self._report("step.failed", step, symbol, level=level, error=failure.type, traceback=failure.traceback)
        raise Stopped
