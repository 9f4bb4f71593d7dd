"""What a run is at some point of its history: the fold of its events, without any say in what may happen.

No guard stands here, so that a replay repeats what happened whatever today's rules are.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec

from shared.domain import execution_events as happened
from shared.domain.branch import Branch, time_at_work
from shared.domain.branch_events import BranchCompleted, BranchEvent, BranchFailed, BranchPreempted
from shared.domain.catalogue import OnError, StepDescription, StepScope
from shared.domain.errors import Refused
from shared.domain.events import Event
from shared.domain.execution_records import OrderRecord, StepKey, StepRecord, StepState
from shared.domain.opened_stages import OpenedStages
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.phases import TRANSITIONS, Phase

if TYPE_CHECKING:
    from shared.domain.stage_decisions import StageDecisions


class ExecutionState:
    """A run's submission, phase, steps, orders and artifacts; `spent` is its time at work in ended attempts.

    `opening` is the number of the last stage that was opened, and `in_stage` tells that it has not been closed.
    `stages` holds the branches of all of them. `events` counts what has happened to the run and its branches. An open
    stage is settled in part, as far as its branches were read.
    `losses` counts workers lost without a boundary in between: it tells a run that kills its worker from bad luck.
    `has_late_orders` tells that one has changed since the run ended, which its result cannot know.
    `forced` tells that whoever asked for its end gives it no time to obey.
    `attempt_trace` is the traceparent of the last attempt, `restart_trace` of the request to go on since.
    `yields_to` is the task that the running attempt is asked to make way for; `preempted_by` the last one it did.
    `waiting_since` is when it began to wait for a worker, None while it does not.
    """

    def __init__(self, submitted: happened.Submitted) -> None:
        self.submitted = submitted
        self.version = submitted.originator_version
        self.events = 1
        self.changed_at = submitted.at
        self.phase = Phase.HELD if submitted.held else Phase.WAITING
        self.waiting_since = submitted.at if self.phase.queued else None
        self.attempts = 0
        self.worker: str | None = None
        self.started_at: datetime | None = None
        self.attempt_started_at: datetime | None = None
        self.attempt_trace: str | None = None
        self.restart_trace: str | None = None
        self.finished_at: datetime | None = None
        self.next_retry_at: datetime | None = None
        self.cancel_reason: str | None = None
        self.forced = False
        self.yields_to: str | None = None
        self.preempted_by: str | None = None
        self.preempted_at: datetime | None = None
        self.preemptions = 0
        self.result: Output | None = None
        self.failure: happened.Failed | None = None
        self.steps: dict[StepKey, StepRecord] = {}
        self.left_out: set[StepKey] = set()
        self.orders: dict[str, OrderRecord] = {}
        self.has_late_orders = False
        self.artifacts: dict[str, happened.Artifact] = {}
        self.spent = timedelta()
        self.losses = 0
        self.opening = 0
        self.in_stage = False
        self.stages = OpenedStages(cast("StageDecisions", self))
        self._restarted_after = 0

    @property
    def id(self) -> UUID:
        """Return the task id, which is also the stream's."""
        return self.submitted.originator_id

    def positions(self) -> Iterable[StepKey]:
        """Yield every step and symbol of the plan in the order in which they run."""
        for step in self.submitted.steps:
            if step.each is StepScope.SYMBOL:
                for symbol in self.submitted.symbols:
                    yield step.name, symbol
            else:
                yield step.name, None

    def is_settled(self, key: StepKey) -> bool:
        """Tell whether a step and symbol is over: it has ended, or will never run because its input failed."""
        record = self.steps.get(key)
        return key in self.left_out or (record is not None and record.settled)

    def next_position(self) -> StepKey | None:
        """Return the first step and symbol that is not settled, or None when all are."""
        return next((key for key in self.positions() if not self.is_settled(key)), None)

    def time_left(self, now: datetime) -> timedelta:
        """Return what is left of the run's time at work: earlier attempts count, waiting does not.

        Branches that were at work at once count once.
        """
        running = now - self.attempt_started_at if self.phase.at_work and self.attempt_started_at else timedelta()
        branches = time_at_work(self.stages.touched(after=self._restarted_after), now)
        return timedelta(seconds=self.submitted.timeout_seconds) - self.spent - running - branches

    def overdue_step(self, now: datetime) -> StepDescription | None:
        """Return the step that runs if it has taken longer than its own time, counted from the last boundary."""
        step = self._next_step()
        if step is None or step.timeout_seconds is None or self.attempt_started_at is None:
            return None
        ended = (record.finished_at for record in self.steps.values() if record.finished_at is not None)
        began_at = max([self.attempt_started_at, *ended])
        return step if now - began_at >= timedelta(seconds=step.timeout_seconds) else None

    def is_preemptible(self) -> bool:
        """Tell whether the step that runs may be cut short for another run; at the end nothing is left to cut."""
        step = self._next_step()
        return step is not None and step.preemptible

    def _next_step(self) -> StepDescription | None:
        position = self.next_position()
        return self.described(position[0]) if position else None

    def described(self, name: str) -> StepDescription:
        """Return a step of the pinned plan."""
        return next(step for step in self.submitted.steps if step.name == name)

    def branches_into(self, step: str, symbol: str | None) -> list[Branch]:
        """Return the branches that a step needs to know of: whose outputs it takes, those of its own symbol.

        A run-level step takes what all symbols gave, and is told by earlier steps which of them are left out.
        """
        wanted = set(self.described(step).inputs)
        if symbol is None:
            for earlier in reversed(self.submitted.steps):
                if earlier.name in wanted:
                    wanted.update(earlier.inputs)
        return self.stages.of_steps(wanted, symbol)

    @property
    def was_restarted(self) -> bool:
        """Tell whether the run has gone on after an end with stages before it."""
        return self._restarted_after > 0

    @property
    def branches(self) -> dict[UUID, Branch]:
        """Return all branches by their stream."""
        return self.stages.all()

    @property
    def members(self) -> dict[StepKey, Branch]:
        """Return the branch of each step and symbol, in the last stage that had it."""
        return self.stages.members()

    def branch(self, opening: int, step: str, symbol: str | None) -> Branch:
        """Return one member of a stage. Raises Refused when no such stage was opened."""
        found = self.stages.branch(opening, step, symbol)
        if found is None:
            raise Refused(f"Task {self.id} has opened no stage {opening} with step {step!r} for {symbol}.")
        return found

    def stage(self) -> list[Branch]:
        """Return the members of the stage that was opened last."""
        return self.stages.of(self.opening)

    def retries(self, step: str, symbol: str | None) -> int:
        """Return how often this step and symbol were retried already."""
        record = self.steps.get((step, symbol))
        return record.retries if record else 0

    def apply(self, event: Event) -> None:
        """Take in one event of the run or of a branch; one that was taken in already changes nothing.

        Everything arrives twice. Events are to come in the order of the log.
        """
        if isinstance(event, BranchEvent):
            self._apply_to_branch(event)
            return
        if event.originator_version <= self.version:
            return
        self.version = event.originator_version
        self.events += 1
        self.changed_at = event.at
        phase_before = self.phase
        self.phase = TRANSITIONS.get(type(event), {}).get(phase_before, phase_before)
        if self.phase is not phase_before:
            self.waiting_since = event.at if self.phase.queued else None
        match event:
            case happened.AttemptStarted():
                self._start_attempt(event)
            case happened.StepEvent():
                self._apply_step(event)
            case happened.OrderEvent():
                self._apply_order(event)
            case happened.RetryDue():
                self.next_retry_at = None
            case happened.WorkerLost():
                self.losses += 1
                self._end_attempt(event.at)
            case happened.PreemptionRequested(preempted_by=task_id):
                self.yields_to = task_id
            case happened.Preempted(preempted_by=task_id):
                self.preemptions += 1
                self.preempted_by, self.preempted_at = task_id, event.at
                self._end_attempt(event.at)
            case happened.CancelRequested(reason=reason, force=force):
                self.cancel_reason, self.forced = reason, force
                self.next_retry_at = None
            case happened.Succeeded(result=result):
                self.result = result
            case happened.Failed():
                self._apply_failure(event)
            case happened.StageOpened():
                self._open_stage(event)
            case happened.StageClosed():
                self.in_stage = False
            case happened.Restarted():
                self._restart()
                self.restart_trace = event.trace
            case happened.StepsTakenOver():
                self._take_over(event)
        if self.phase.ended and self.phase is not phase_before:
            self.finished_at = event.at
            self.in_stage = False
            self._end_attempt(event.at)

    def _apply_to_branch(self, event: BranchEvent) -> None:
        branch = self.stages.branch(event.opening, event.step, event.symbol)
        if branch is None or event.originator_version <= branch.version:
            return
        branch.apply(event)
        self.events += 1
        self.changed_at = event.at
        match event:
            case BranchCompleted(artifacts=artifacts):
                self.artifacts.update((artifact.name, artifact) for artifact in artifacts)
            case BranchPreempted(preempted_by=task_id):
                self.preemptions += 1
                self.preempted_by, self.preempted_at = task_id, event.at
            case BranchFailed() if self.described(branch.step).on_error is OnError.COLLECT:
                self._leave_out(branch.step, branch.symbol)

    def _open_stage(self, event: happened.StageOpened) -> None:
        self._end_attempt(event.at)
        self.losses = 0
        self.opening, self.in_stage = event.opening, True
        self.stages.open(event.opening, event.members)

    def _restart(self) -> None:
        due = self._due_again()
        self.failure = self.cancel_reason = self.finished_at = self.next_retry_at = self.worker = None
        self.has_late_orders = self.forced = False
        self.spent, self.losses, self._restarted_after = timedelta(), 0, self.opening
        self.steps = {
            key: record
            for key, record in self.steps.items()
            if record.state is StepState.COMPLETED or (record.state is StepState.FAILED and record.step not in due)
        }
        self.stages.forget_members()
        self.left_out.clear()
        for record in self.steps.values():
            if record.state is StepState.FAILED:
                self._leave_out(record.step, record.symbol)

    def _due_again(self) -> set[str]:
        """Return the steps whose failures are tried again: the one that failed, and those that left it no symbol."""
        if self.failure is None or self.failure.step is None:
            return set()
        due = {self.failure.step}
        if self.failure.symbol is None:
            for step in reversed(self.submitted.steps):
                if step.name in due and step.each is StepScope.SYMBOL:
                    due.update(step.inputs)
        return due

    def _take_over(self, event: happened.StepsTakenOver) -> None:
        for taken in event.steps:
            state = StepState.FAILED if taken.failure else StepState.COMPLETED
            self.steps[taken.step, taken.symbol] = StepRecord(
                step=taken.step,
                symbol=taken.symbol,
                state=state,
                finished_at=event.at,
                output=taken.output,
                failure=taken.failure,
            )
            if taken.failure:
                self._leave_out(taken.step, taken.symbol)
        self.artifacts.update((artifact.name, artifact) for artifact in event.artifacts)

    def _start_attempt(self, event: happened.AttemptStarted) -> None:
        self.attempts = event.attempt
        self.worker = event.worker
        self.attempt_started_at = event.at
        self.attempt_trace, self.restart_trace = event.trace, None
        self.started_at = self.started_at or event.at
        self.next_retry_at = None
        self.yields_to = None

    def _apply_step(self, event: happened.StepEvent) -> None:
        self.losses = 0
        match event:
            case happened.StepCompleted(output=output, artifacts=artifacts):
                self._record_step(event, StepState.COMPLETED, finished_at=event.at, output=output)
                self.artifacts.update((artifact.name, artifact) for artifact in artifacts)
            case happened.FailureCollected(failure=failure):
                self._record_step(event, StepState.FAILED, finished_at=event.at, failure=failure)
                self._leave_out(event.step, event.symbol)
            case happened.RetryScheduled(failure=failure):
                self._record_step(event, StepState.RETRYING, retries=event.retry, failure=failure)
                self.next_retry_at = event.due_at
                self._end_attempt(event.at)

    def _leave_out(self, failed: str, symbol: str | None) -> None:
        """Note the later steps that never run for `symbol`, because they build on what failed for it."""
        without = {failed}
        for step in self.submitted.steps:
            if step.each is StepScope.SYMBOL and without.intersection(step.inputs):
                without.add(step.name)
                self.left_out.add((step.name, symbol))

    def _end_attempt(self, at: datetime) -> None:
        if self.attempt_started_at is not None:
            self.spent += at - self.attempt_started_at
            self.attempt_started_at = None

    def _apply_failure(self, event: happened.Failed) -> None:
        self.failure = event
        if event.step is not None and event.started_at is not None:
            self._record_step(event, StepState.FAILED, finished_at=event.at, failure=event.failure)

    def _record_step(self, event: happened.StepEvent | happened.Failed, state: StepState, **fields: Any) -> None:
        assert event.step is not None
        key = (event.step, event.symbol)
        known = self.steps.get(key)
        self.steps[key] = StepRecord(
            step=event.step,
            symbol=event.symbol,
            state=state,
            attempts=(known.attempts if known else 0) + 1,
            started_at=event.started_at,
            worker=self.worker,
            **{"retries": known.retries if known else 0, **fields},
        )

    def _apply_order(self, event: happened.OrderEvent) -> None:
        if isinstance(event, happened.OrderRequested):
            self.orders[event.client_order_id] = OrderRecord(
                client_order_id=event.client_order_id,
                step=event.step,
                symbol=event.symbol,
                order=event.order,
                state=OrderState.REQUESTED,
                requested_at=event.at,
            )
            return
        known = self.orders[event.client_order_id]
        match event:
            case happened.OrderPlaced(outcome=outcome):
                change = {"state": OrderState(outcome.state), "outcome": outcome, "reason": None}
            case happened.OrderUpdated(outcome=outcome, reason=reason):
                change = {"state": OrderState(outcome.state), "outcome": outcome, "reason": reason}
            case happened.OrderRejected(reason=reason):
                change = {"state": OrderState.REJECTED, "reason": reason}
            case happened.OrderAmbiguous(reason=reason):
                change = {"state": OrderState.AMBIGUOUS, "reason": reason}
            case _:
                raise AssertionError(f"unknown order event {event!r}")
        self.orders[event.client_order_id] = msgspec.structs.replace(known, **change)
        self.has_late_orders = self.has_late_orders or self.phase.ended
