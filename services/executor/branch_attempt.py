"""One attempt of one branch, as the worker that claimed it writes to the log.

Its run decides over it, in a stream that others write to: every append says which version of that stream it was decided
on, and is decided again when the run has moved on. After its own end it looks whether it was the last of its stage.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import NoReturn
from uuid import UUID

import structlog

from services.executor.interruption import Interruption
from services.executor.stamps import Clock, worker_stamp
from shared.domain.branch import Branch
from shared.domain.errors import Refused, VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.failures import Failure, timeout_failure
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.log.runs import guard_of
from shared.workflow.engine import Stopped

logger = structlog.get_logger()

AT_FIRST = 8
"""Of how many members a finisher asks first; in a large stage most of its questions end there."""

Decide = Callable[[Branch, Stamp], None]
"""What to append, decided on the branch as it is; called again after a reload."""


class BranchAttempt:
    """Attempt `number` of `branch`, which this worker has claimed."""

    def __init__(self, log: EventLog, branch: Branch, *, worker: str, now: Clock, interruption: Interruption) -> None:
        self._log = log
        self._branch = branch
        self._worker = worker
        self._in_doubt = False
        self.interruption = interruption
        self.number = branch.attempts
        self.now = now
        self.step_started_at = now()

    @property
    def branch(self) -> Branch:
        """Return the branch as the log has it: read again after an append that may have been stored or not."""
        if self._in_doubt:
            known = self._branch
            run = self._log.member(known.run.id, opening=known.opening, step=known.step, symbol=known.symbol)
            self._branch = run.branch(known.opening, known.step, known.symbol)
            self._in_doubt = False
        return self._branch

    @property
    def execution(self) -> WorkflowExecution:
        """Return the run, of whose branches only this one and what feeds it are read."""
        run = self.branch.run
        assert isinstance(run, WorkflowExecution)
        return run

    def append(self, decide: Decide, *, finishing: bool = False, may_yield: bool = False) -> None:
        """Append what `decide` does, on whatever has happened to the run meanwhile; close when it is over.

        `finishing` brings a finished step, which counts also while the run is being cancelled. With `may_yield` an
        attempt that was asked to make way does so. Raises Stopped when the branch was closed or made way, and when
        another attempt has taken its place.
        """
        while True:
            stamp = worker_stamp(self._worker, self.now)
            branch, execution = self.branch, self.execution
            self._in_doubt = True
            try:
                if branch.is_open or (finishing and branch.may_finish):
                    decide(branch, stamp)
                    if may_yield and branch.at_work and branch.yields_to is not None:
                        branch.make_way(stamp, attempt=self.number)
                else:
                    branch.close(stamp, attempt=self.number, reason=f"its task is {execution.phase}")
                if not self._save(execution):
                    return
            except VersionConflict:
                continue
            except Refused as refusal:
                logger.warning("branch.attempt_lost", reason=str(refusal))
                raise Stopped from refusal
            self._in_doubt = False
            if branch.phase.ended:
                self._join()
            if branch.phase in (Phase.CANCELLED, Phase.PREEMPTED):
                logger.info("branch.stopped", phase=str(branch.phase), run=str(execution.phase))
                raise Stopped
            return

    def _save(self, execution: WorkflowExecution) -> bool:
        """Append what was decided; nothing may have been, and then what is known is as good as before."""
        events = execution.collect_events()
        if events:
            self._log.append(events, guard=guard_of(execution, events))
        else:
            self._in_doubt = False
        return bool(events)

    def obey(self) -> None:
        """Look at the log and do what it asks of an attempt that was cut short; raises Stopped then.

        It returns when nothing is asked, or not any more: the attempt goes on with its step.
        """
        self.interruption.noted = False
        self._in_doubt = True
        self.append(lambda branch, _: branch.require_attempt(self.number), may_yield=True)
        self.check_deadline()

    def end_run(self, failure: Failure, *, step: str | None = None, symbol: str | None = None) -> NoReturn:
        """End the whole run with `failure`; raises Stopped."""

        def decide(branch: Branch, stamp: Stamp) -> None:
            branch.require_attempt(self.number)
            branch.run.fail_in_stage(stamp, failure=failure, step=step, symbol=symbol)
            branch.close(stamp, attempt=self.number, reason=failure.message)

        try:
            self.append(decide)
        finally:
            # The append raises Stopped, for the member closes in it; what somebody else has ended the run by is theirs.
            if (ended := self.execution.failure) is not None and ended.failure == failure:
                about = {"step": step, "symbol": symbol, "error": failure.type}
                logger.error("execution.failed", **about, traceback=failure.traceback)
        raise Stopped

    def remaining(self) -> timedelta:
        """Return what is left of the run's time at most; the dispatcher knows what other branches have used up."""
        return self.execution.time_left(self.now())

    def checkpoint(self) -> None:
        """Stop here if somebody asked for it or time is over: raises Interrupted."""
        self.interruption.check()

    def check_deadline(self) -> None:
        """End the run when its time is over; raises Stopped then."""
        if self.remaining() <= timedelta():
            self.time_out()

    def time_out(self, *, step: str | None = None, symbol: str | None = None) -> NoReturn:
        """End the run because its time is over; raises Stopped."""
        self.end_run(timeout_failure(self.execution.submitted.timeout_seconds), step=step, symbol=symbol)

    def _join(self) -> None:
        """Have the run go on if this was the last branch of its stage, or end it if it was the last one at work.

        Whoever comes last finds all others ended, because it looks after its own append; of several that find it so one
        is faster. Should none of them get here, the dispatcher does it.
        """
        run = self.execution
        # The last ones first: while the stage is at work they have not ended, and the question is answered at once.
        members = run.stages.newest_first(run.opening)
        if run.phase is Phase.AT_JOIN and not all(self._log.have_all_ended(some) for some in _parts(members)):
            return
        while not run.phase.ended:
            run = self._log.execution(run.id)
            try:
                run.settle_stage(worker_stamp(self._worker, self.now))
                self._log.save_execution(run)
            except VersionConflict:
                continue
            except Refused:
                return
            logger.info("stage.settled", opening=run.opening, phase=str(run.phase))
            return


def _parts(members: Iterator[UUID]) -> Iterator[list[UUID]]:
    """Yield a few of the members first, then the others in one question."""
    if some := list(islice(members, AT_FIRST)):
        yield some
    if others := list(members):
        yield others
