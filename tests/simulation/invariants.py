"""What must hold, whatever happens: all promises of durable execution in one place.

`check_event` looks at each event as it comes into the log, `check_desk` at the desk around it, and `check_rest` at what
is left when everything has come to rest. A violated promise is an AssertionError that says which one.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from services.executor.resolver import RESOLVER
from shared.domain import branch_events as branch
from shared.domain import execution_events as happened
from shared.domain.branch_events import BranchEvent
from shared.domain.catalogue import StepEffect
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_records import StepKey
from shared.domain.orders import OrderState
from shared.domain.phases import TRANSITIONS, Phase
from shared.domain.queue_events import QueueEvent
from shared.log.runs import Recorded, run_of
from tests.simulation.branch_invariants import check_branch_event, check_stage_event
from tests.simulation.desk import POLICY, Desk

ENDS = (happened.Succeeded, happened.Failed, happened.Cancelled)
OF_ORDERS = (happened.OrderPlaced, happened.OrderRejected, happened.OrderAmbiguous)
OF_ATTEMPTS = (
    happened.StepEvent,
    happened.OrderRequested,
    happened.StageOpened,
    happened.Succeeded,
    happened.Preempted,
)
"""Events that only the attempt may bring that is at work."""
LOSSES = (happened.WorkerLost, branch.BranchWorkerLost)
BESIDE_OTHERS = ("fetch", "rate", "daily", "weekly")
"""The steps of the simulated workflows that run as tasks of their own."""


@dataclass
class Invariants:
    """Follows a desk from event to event."""

    desk: Desk
    position: int = 0
    runs: dict[UUID, WorkflowExecution] = field(default_factory=dict)
    completed: dict[UUID, dict[tuple[str, str | None], int]] = field(default_factory=lambda: defaultdict(dict))
    claimed_at: dict[tuple[UUID, int, StepKey | None], int] = field(default_factory=dict)
    losses: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    boundaries_after_cancel: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    calls: int = 0

    def check(self) -> None:
        """Check what has come since the last time."""
        for recorded in self.desk.log.read(self.position, limit=10_000):
            if not isinstance(recorded.event, QueueEvent):
                self.check_event(recorded)
            self.position = recorded.position
        self.check_desk()

    def check_event(self, recorded: Recorded) -> None:
        """Check one event against the run as it was before it, then take it in."""
        event = recorded.event
        run = self.runs.get(run_of(event))
        if run is None:
            assert isinstance(event, happened.Submitted), "a stream begins with its submission"
            self.runs[event.originator_id] = WorkflowExecution(event)
            return
        if isinstance(event, BranchEvent):
            check_branch_event(run, event)
            self._a_branch_begins_and_completes_once(run, event, recorded.position)
        else:
            self._check_own_event(run, event, recorded.position)
        self._nobody_alive_is_taken_for_dead(event)
        fold(run, [event])

    def _check_own_event(self, run: WorkflowExecution, event: Event, position: int) -> None:
        self._only_legal_moves(run, event)
        self._attempts_count_up(run, event, position)
        self._a_superseded_attempt_is_silent(run, event)
        self._a_completed_step_stays_completed(run, event, position)
        self._nothing_but_cancellation_ends_a_cancelled_run(run, event)
        self._nothing_but_its_orders_changes_an_ended_run(run, event)
        self._an_order_is_requested_once(run, event)
        self._an_attempt_settles_its_own_orders(run, event)
        self._what_is_filled_stays_filled(run, event)
        self._what_trades_is_never_preempted(run, event)
        self._only_real_losses_end_a_run(run, event)
        check_stage_event(run, event)

    def _a_branch_begins_and_completes_once(self, run: WorkflowExecution, event: BranchEvent, position: int) -> None:
        key = event.step, event.symbol
        if isinstance(event, branch.BranchAttemptStarted):
            self.claimed_at[run.id, event.attempt, key] = position
        if isinstance(event, branch.BranchCompleted):
            assert key not in self.completed[run.id], f"{key} was completed twice"
            self.completed[run.id][key] = position

    def _only_legal_moves(self, run: WorkflowExecution, event: Event) -> None:
        assert run.phase in TRANSITIONS[type(event)], f"{event.TOPIC} is not legal in {run.phase}"
        assert event.originator_version == run.version + 1, "versions have no gap"

    def _attempts_count_up(self, run: WorkflowExecution, event: Event, position: int) -> None:
        if isinstance(event, happened.AttemptStarted):
            assert event.attempt == run.attempts + 1, f"attempt {event.attempt} began after {run.attempts}"
            self.claimed_at[run.id, event.attempt, None] = position

    def _a_superseded_attempt_is_silent(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, OF_ATTEMPTS):
            assert run.phase.at_work, f"{event.TOPIC} of a run that nobody has"
            assert event.attempt == run.attempts, f"{event.TOPIC} of attempt {event.attempt}, while {run.attempts} runs"

    def _a_completed_step_stays_completed(self, run: WorkflowExecution, event: Event, position: int) -> None:
        if isinstance(event, happened.StepCompleted):
            key = event.step, event.symbol
            assert key not in self.completed[run.id], f"{key} was completed twice"
            self.completed[run.id][key] = position

    def _nothing_but_cancellation_ends_a_cancelled_run(self, run: WorkflowExecution, event: Event) -> None:
        if run.phase is Phase.CANCELLING:
            assert not isinstance(event, happened.Succeeded | happened.Failed), f"{event.TOPIC} after a cancellation"
            if isinstance(event, happened.StepEvent):
                self.boundaries_after_cancel[run.id] += 1
                assert self.boundaries_after_cancel[run.id] == 1, "a cancelled run went on beyond its next boundary"

    def _nothing_but_its_orders_changes_an_ended_run(self, run: WorkflowExecution, event: Event) -> None:
        if run.phase.ended:
            may_come = (*OF_ORDERS, happened.OrderUpdated, happened.Restarted)
            assert isinstance(event, may_come), f"{event.TOPIC} after the end"
        if isinstance(event, happened.Restarted):
            self.boundaries_after_cancel[run.id] = self.losses[run.id] = 0

    def _an_attempt_settles_its_own_orders(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, OF_ORDERS) and event.actor == RESOLVER:
            assert not run.phase.at_work, "the resolver settled an order of an attempt at work"

    def _what_is_filled_stays_filled(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, happened.OrderUpdated):
            known = run.orders[event.client_order_id]
            assert known.state is OrderState.PLACED, f"an order that was {known.state} was updated"
            assert known.outcome is not None
            before, since = Decimal(known.outcome.filled_quantity), Decimal(event.outcome.filled_quantity)
            assert before <= since, "the ledger took a fill back"

    def _an_order_is_requested_once(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, happened.OrderRequested):
            assert event.client_order_id not in run.orders, "an order was requested twice"

    def _what_trades_is_never_preempted(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, happened.PreemptionRequested):
            position = run.next_position()
            effects = {step.name: step.effect for step in run.submitted.steps}
            assert position is not None, "a run was asked to make way that has nothing left to do"
            assert effects[position[0]] is not StepEffect.ORDERS, "a run was asked to make way in a step that trades"

    def _nobody_alive_is_taken_for_dead(self, event: Event) -> None:
        if isinstance(event, LOSSES) and "did not stop" not in event.reason:
            keepers = [each for each in self.desk.workers if each.has_kept(event.originator_id, event.attempt)]
            assert event.worker not in [each.name for each in keepers], f"{event.worker} was alive: {event.reason}"

    def _only_real_losses_end_a_run(self, run: WorkflowExecution, event: Event) -> None:
        if isinstance(event, happened.WorkerLost):
            self.losses[run.id] += 1
        if isinstance(event, happened.StepEvent | happened.StageOpened):
            self.losses[run.id] = 0
        if isinstance(event, happened.Failed) and event.failure.type == "worker_lost" and not run.in_stage:
            assert self.losses[run.id] == POLICY.max_losses - 1, "a run was given up before its last loss"

    def check_desk(self) -> None:
        """Check what is outside of the log."""
        self._no_completed_step_is_called()
        self._no_order_leaves_before_its_request()
        self._no_order_arrives_twice()
        self._a_window_is_kept()
        self._a_pause_holds_back_what_is_not_under_way()

    def _no_completed_step_is_called(self) -> None:
        for task_id, step, symbol, attempt in self.desk.calls[self.calls :]:
            completed_at = self.completed[task_id].get((step, symbol))
            key = (step, symbol) if step in BESIDE_OTHERS else None
            claimed_at = self.claimed_at[task_id, attempt, key]
            assert completed_at is None or completed_at > claimed_at, f"{step} was called after it was completed"
        self.calls = len(self.desk.calls)

    def _no_order_leaves_before_its_request(self) -> None:
        requested = {name for run in self.runs.values() for name in run.orders}
        assert set(self.desk.venue.submits) <= requested, "an order left that is not in the log"

    def _no_order_arrives_twice(self) -> None:
        venue = self.desk.venue
        assert all(count == 1 for count in venue.arrivals.values()), "an order is twice in the venue's book"
        if not venue.refuses_duplicates:
            assert all(count <= 1 for count in venue.submits.values() if count), "an order was sent again on a guess"

    def _a_window_is_kept(self) -> None:
        for row_level in {row.sent_level for row in self.desk.store.rows.values()} - {None}:
            sent = [row for row in self.desk.store.rows.values() if row.is_sent and row.sent_level == row_level]
            assert len(sent) <= POLICY.window, "more than a window of a level is in Redis"

    def _a_pause_holds_back_what_is_not_under_way(self) -> None:
        store = self.desk.store
        sent = [row for row in store.rows.values() if row.is_sent and row.level in store.paused()]
        assert all(row.is_under_way for row in sent), "a run of a paused level is in Redis"

    def check_rest(self) -> None:
        """Check what is left when nothing moves any more."""
        self.check()
        assert not self.desk.store.rows, "the dispatcher keeps a run that has ended"
        for task_id in self.desk.tasks:
            run = self.runs[task_id]
            assert run.phase.ended, f"a run was lost: it is {run.phase}"
            assert not any(each.at_work for each in run.branches.values()), "a branch is at work in an ended run"
            self._the_ledger_is_the_book(run)
            if run.phase is Phase.SUCCEEDED:
                assert run.next_position() is None, "a run succeeded with a step left to do"

    def _the_ledger_is_the_book(self, run: WorkflowExecution) -> None:
        for name, record in run.orders.items():
            report = self.desk.venue.book.get(name)
            if report is None:
                assert record.is_open, f"the ledger says {record.state} of an order that the venue never had"
            elif report.state is OrderState.REJECTED:
                assert record.state is OrderState.REJECTED, (
                    f"the venue refused an order, the ledger says {record.state}"
                )
            else:
                assert record.state is OrderState.FILLED, f"the venue filled an order, the ledger says {record.state}"
                assert record.outcome is not None
                assert Decimal(record.outcome.filled_quantity) == report.filled_quantity
