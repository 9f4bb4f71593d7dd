"""A branch: one member of a stage that runs as a task of its own, folded from its own stream, and what may befall it.

It has its own attempts, retries, worker and preemptions. What its run does decides over it: only while the run waits at
the join may a branch start, fail, wait or make way. While the run is being cancelled a branch at work may still bring
what it has finished, and otherwise it closes; so it does when its run has ended meanwhile.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid5

from shared.domain import branch_events as happened
from shared.domain.catalogue import OnError
from shared.domain.errors import AlreadyFinished, NotClaimable, Refused, StaleAttempt
from shared.domain.events import Event, Stamp
from shared.domain.execution_events import Artifact
from shared.domain.execution_records import StepKey, StepRecord, StepState
from shared.domain.failures import Failure, stubborn_step_failure, worker_lost_failure
from shared.domain.outputs import Output
from shared.domain.phases import Phase

if TYPE_CHECKING:
    from shared.domain.stage_decisions import StageDecisions

MOVES: Mapping[type[Event], Mapping[Phase, Phase]] = {
    happened.BranchAttemptStarted: {
        Phase.WAITING: Phase.RUNNING,
        Phase.RETRY_DUE: Phase.RUNNING,
        Phase.LOST: Phase.RUNNING,
        Phase.PREEMPTED: Phase.RUNNING,
    },
    happened.BranchCompleted: {Phase.RUNNING: Phase.SUCCEEDED},
    happened.BranchFailed: {Phase.RUNNING: Phase.FAILED},
    happened.BranchRetryScheduled: {Phase.RUNNING: Phase.RETRY_WAIT},
    happened.BranchRetryDue: {Phase.RETRY_WAIT: Phase.RETRY_DUE},
    happened.BranchWorkerLost: {Phase.RUNNING: Phase.LOST},
    happened.BranchPreemptionRequested: {Phase.RUNNING: Phase.RUNNING},
    happened.BranchPreempted: {Phase.RUNNING: Phase.PREEMPTED},
    happened.BranchClosed: {Phase.RUNNING: Phase.CANCELLED},
}
"""From each event to the moves it makes; a pair that is not here is not legal."""

ENDS = tuple(event.TOPIC for event, moves in MOVES.items() if any(phase.ended for phase in moves.values()))
"""The topics with which a branch ends."""


def branch_id(task_id: UUID, opening: int, step: str, symbol: str | None) -> UUID:
    """Return the stream of a member: it derives from its run, the stage's number, its step and its symbol."""
    return uuid5(task_id, f"stage {opening}/{step}/{symbol or ''}")


class Branch:
    """One member of the stage number `opening` of `run`. Commands raise a `Refused`, or give events to the run.

    `worked` are the times that its attempts were at work, the last one without an end while it is.
    """

    TOPIC: ClassVar[str] = "branch"

    def __init__(self, run: "StageDecisions", opening: int, step: str, symbol: str | None) -> None:
        self.run = run
        self.opening = opening
        self.step = step
        self.symbol = symbol
        self.id = branch_id(run.id, opening, step, symbol)
        self.version = 0
        self.phase = Phase.WAITING
        self.attempts = 0
        self.worker: str | None = None
        self.attempt_started_at: datetime | None = None
        self.attempt_trace: str | None = None
        self.next_retry_at: datetime | None = None
        self.yields_to: str | None = None
        self.retries = 0
        self.losses = 0
        self.worked: list[tuple[datetime, datetime | None]] = []

    @property
    def key(self) -> StepKey:
        """Return its step and symbol."""
        return self.step, self.symbol

    @property
    def at_work(self) -> bool:
        """Tell whether a worker has it."""
        return self.phase is Phase.RUNNING

    @property
    def is_open(self) -> bool:
        """Tell whether the run waits at the join for this stage."""
        return self.run.phase is Phase.AT_JOIN and self.opening == self.run.opening

    @property
    def may_finish(self) -> bool:
        """Tell whether what the branch has finished still counts: also while the run is being cancelled."""
        return self.run.in_stage and self.opening == self.run.opening

    def claim(self, stamp: Stamp, *, attempt: int, worker: str) -> None:
        """Start attempt number `attempt`; raises NotClaimable unless it is the next one of an open stage's member."""
        if not self.is_open or self.phase not in MOVES[happened.BranchAttemptStarted] or attempt != self.attempts + 1:
            raise NotClaimable(
                f"Step {self.step!r} for {self.symbol} of task {self.run.id} is {self.phase} after {self.attempts} "
                f"attempts, and its task {self.run.phase}; {attempt} is not next."
            )
        self._trigger(happened.BranchAttemptStarted, stamp, attempt=attempt, worker=worker)

    def complete(
        self, stamp: Stamp, *, attempt: int, output: Output, started_at: datetime, artifacts: tuple[Artifact, ...] = ()
    ) -> None:
        """Record what the step returned and kept; also while the run is being cancelled."""
        self.require_attempt(attempt)
        self._trigger(
            happened.BranchCompleted,
            stamp,
            attempt=attempt,
            output=output,
            started_at=started_at,
            artifacts=artifacts,
        )

    def fail(self, stamp: Stamp, *, attempt: int, failure: Failure, started_at: datetime | None) -> None:
        """Record that the step failed for good: the run goes on without it if it collects errors, and fails if not."""
        self._require_open(attempt)
        self._trigger(happened.BranchFailed, stamp, attempt=attempt, failure=failure, started_at=started_at)
        if self.run.described(self.step).on_error is not OnError.COLLECT:
            self.run.fail_in_stage(stamp, failure=failure, step=self.step, symbol=self.symbol)

    def schedule_retry(
        self, stamp: Stamp, *, attempt: int, failure: Failure, started_at: datetime, due_at: datetime
    ) -> None:
        """Give the worker back until `due_at`."""
        self._require_open(attempt)
        self._trigger(
            happened.BranchRetryScheduled,
            stamp,
            attempt=attempt,
            failure=failure,
            retry=self.retries + 1,
            started_at=started_at,
            due_at=due_at,
        )

    def fall_due(self, stamp: Stamp) -> None:
        """End the delay of a retry; raises Refused when it does not wait for one."""
        if not self.is_open:
            raise Refused(f"Task {self.run.id} is {self.run.phase}; its retries fall due no more.")
        self._trigger(happened.BranchRetryDue, stamp, attempt=self.attempts)

    def request_preemption(self, stamp: Stamp, *, attempt: int, preempted_by: str) -> None:
        """Ask the running attempt to make way; asking again changes nothing.

        Raises Refused when the step must not be cut short.
        """
        self._require_open(attempt)
        if self.yields_to is not None:
            return
        if not self.run.described(self.step).preemptible:
            raise Refused(f"Step {self.step!r} of task {self.run.id} must not be preempted.")
        self._trigger(happened.BranchPreemptionRequested, stamp, attempt=attempt, preempted_by=preempted_by)

    def make_way(self, stamp: Stamp, *, attempt: int) -> None:
        """Give the worker back, as the attempt that was asked to; raises Refused when nobody asked."""
        self._require_open(attempt)
        if self.yields_to is None:
            raise Refused(f"Nobody asked attempt {attempt} of step {self.step!r} of task {self.run.id} to make way.")
        self._trigger(happened.BranchPreempted, stamp, attempt=attempt, preempted_by=self.yields_to)

    def lose_worker(self, stamp: Stamp, *, attempt: int, worker: str, reason: str, max_losses: int) -> None:
        """End an attempt whose worker is gone, so that the next one may start.

        The loss number `max_losses` since the last retry fails the step: it is taken to kill its worker. Where the run
        waits no more for its members, the branch closes. Raises StaleAttempt when that attempt no longer runs.
        """
        self._require_own(attempt)
        if not self.is_open:
            self._trigger(happened.BranchClosed, stamp, attempt=attempt, reason=reason)
        elif self.losses + 1 >= max_losses:
            self.fail(stamp, attempt=attempt, failure=self._last_loss(stamp.at, reason, max_losses), started_at=None)
        else:
            self._trigger(happened.BranchWorkerLost, stamp, attempt=attempt, worker=worker, reason=reason)

    def close(self, stamp: Stamp, *, attempt: int, reason: str) -> None:
        """Stop, as the attempt whose run is being cancelled or has ended; raises Refused while it waits at the join."""
        self._require_own(attempt)
        if self.is_open:
            raise Refused(f"Task {self.run.id} waits for step {self.step!r}; it goes on.")
        self._trigger(happened.BranchClosed, stamp, attempt=attempt, reason=reason)

    def require_attempt(self, attempt: int) -> None:
        """Raise StaleAttempt unless `attempt` of this branch runs, and AlreadyFinished when its stage is over."""
        self._require_own(attempt)
        if not self.may_finish:
            raise AlreadyFinished(
                f"Task {self.run.id} is {self.run.phase} and waits for its stage {self.opening} no more; step "
                f"{self.step!r} may not add to it."
            )

    def apply(self, event: happened.BranchEvent) -> None:
        """Take one event in; one that was already taken in changes nothing."""
        if event.originator_version <= self.version:
            return
        self.version = event.originator_version
        phase_before = self.phase
        self.phase = MOVES.get(type(event), {}).get(phase_before, phase_before)
        if phase_before is Phase.RUNNING and self.phase is not Phase.RUNNING:
            self.worked[-1] = (self.worked[-1][0], event.at)
        match event:
            case happened.BranchAttemptStarted():
                self._start_attempt(event)
            case happened.BranchCompleted(output=output):
                self._record(StepState.COMPLETED, event.started_at, finished_at=event.at, output=output)
            case happened.BranchFailed(failure=failure):
                self._record(StepState.FAILED, event.started_at, finished_at=event.at, failure=failure)
            case happened.BranchRetryScheduled(failure=failure, retry=retry):
                self.retries, self.losses, self.next_retry_at = retry, 0, event.due_at
                self._record(StepState.RETRYING, event.started_at, failure=failure)
            case happened.BranchRetryDue():
                self.next_retry_at = None
            case happened.BranchWorkerLost():
                self.losses += 1
            case happened.BranchPreemptionRequested(preempted_by=task_id):
                self.yields_to = task_id

    def _last_loss(self, now: datetime, reason: str, losses: int) -> Failure:
        seconds, since = self.run.described(self.step).timeout_seconds, self.attempt_started_at
        if seconds is not None and since is not None and now - since >= timedelta(seconds=seconds):
            return stubborn_step_failure(self.step, seconds, losses)
        return worker_lost_failure(losses, reason)

    def _start_attempt(self, event: happened.BranchAttemptStarted) -> None:
        self.attempts, self.worker, self.attempt_started_at = event.attempt, event.worker, event.at
        self.attempt_trace = event.trace
        self.next_retry_at = self.yields_to = None
        self.worked.append((event.at, None))

    def _record(self, state: StepState, started_at: datetime | None, **fields: Any) -> None:
        known = self.run.steps.get(self.key)
        self.run.steps[self.key] = StepRecord(
            step=self.step,
            symbol=self.symbol,
            state=state,
            attempts=(known.attempts if known else 0) + 1,
            retries=self.retries,
            started_at=started_at or self.attempt_started_at,
            worker=self.worker,
            **fields,
        )

    def _require_open(self, attempt: int) -> None:
        self.require_attempt(attempt)
        if not self.is_open:
            raise Refused(f"Task {self.run.id} is {self.run.phase}; step {self.step!r} is to stop.")

    def _require_own(self, attempt: int) -> None:
        if attempt != self.attempts or not self.at_work:
            raise StaleAttempt(
                f"Attempt {attempt} of step {self.step!r} for {self.symbol} of task {self.run.id} no longer runs; its "
                "worker must stop."
            )

    def _trigger(self, event: type[happened.BranchEvent], stamp: Stamp, **fields: Any) -> None:
        if self.phase not in MOVES[event]:
            raise Refused(
                f"Step {self.step!r} of task {self.run.id} is {self.phase}; {event.TOPIC} is not possible now."
            )
        self.run.keep(
            event(
                originator_id=self.id,
                originator_version=self.version + 1,
                at=stamp.at,
                actor=stamp.actor,
                trace=stamp.trace,
                append_id=stamp.append_id,
                task_id=self.run.id,
                opening=self.opening,
                step=self.step,
                symbol=self.symbol,
                **fields,
            )
        )


def time_at_work(branches: Iterable[Branch], now: datetime) -> timedelta:
    """Return the time in which at least one branch was at work up to `now`: overlapping ones count once."""
    spans = sorted((start, end or now) for branch in branches for start, end in branch.worked)
    total, until = timedelta(), None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        if end > begin:
            total += end - begin
        until = end if until is None else max(until, end)
    return total
