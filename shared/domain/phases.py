"""The inner states of an execution, the table of legal moves, and the words the outside knows them by."""

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from shared.domain import execution_events as happened
from shared.domain.events import Event


class Phase(StrEnum):
    """Where a run stands, or one of its branches. A run is at a join while steps that run side by side have it."""

    HELD = "held"
    WAITING = "waiting"
    RUNNING = "running"
    RETRY_WAIT = "retry_wait"
    RETRY_DUE = "retry_due"
    AT_JOIN = "at_join"
    JOINED = "joined"
    LOST = "lost"
    PREEMPTED = "preempted"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Tell whether the run has come to its end; only its open orders may still be settled."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)

    @property
    def queued(self) -> bool:
        """Tell whether the run waits for a worker in the queue of its level, and for nothing else."""
        return self in (Phase.WAITING, Phase.LOST, Phase.PREEMPTED)

    @property
    def claimable(self) -> bool:
        """Tell whether a worker may start the next attempt."""
        return self in TRANSITIONS[happened.AttemptStarted]

    @property
    def at_work(self) -> bool:
        """Tell whether an attempt runs, which alone may add to the run then."""
        return self in _WITHIN_A_RUN


class CeleryState(StrEnum):
    """Celery's own words for the state of a task."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


class Status(StrEnum):
    """The words of the workflow_executions record."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    PREEMPTED = "preempted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_WITHIN_A_RUN = {Phase.RUNNING: Phase.RUNNING, Phase.CANCELLING: Phase.CANCELLING}
_IN_EVERY_PHASE = {phase: phase for phase in Phase}
"""An order may be settled whatever state its run is in, and moves it nowhere (docs/rules.md, "Orders")."""

TRANSITIONS: Mapping[type[Event], Mapping[Phase, Phase]] = {
    happened.Released: {Phase.HELD: Phase.WAITING},
    happened.AttemptStarted: {
        Phase.WAITING: Phase.RUNNING,
        Phase.RETRY_DUE: Phase.RUNNING,
        Phase.LOST: Phase.RUNNING,
        Phase.PREEMPTED: Phase.RUNNING,
        Phase.JOINED: Phase.RUNNING,
    },
    happened.StageOpened: {Phase.RUNNING: Phase.AT_JOIN},
    happened.StageClosed: {Phase.AT_JOIN: Phase.JOINED},
    happened.StepCompleted: _WITHIN_A_RUN,
    happened.FailureCollected: _WITHIN_A_RUN,
    happened.OrderRequested: {Phase.RUNNING: Phase.RUNNING},
    happened.OrderPlaced: _IN_EVERY_PHASE,
    happened.OrderRejected: _IN_EVERY_PHASE,
    happened.OrderUpdated: _IN_EVERY_PHASE,
    happened.OrderAmbiguous: _IN_EVERY_PHASE,
    happened.RetryScheduled: {Phase.RUNNING: Phase.RETRY_WAIT},
    happened.RetryDue: {Phase.RETRY_WAIT: Phase.RETRY_DUE},
    happened.WorkerLost: {Phase.RUNNING: Phase.LOST, Phase.CANCELLING: Phase.CANCELLING},
    happened.PreemptionRequested: {Phase.RUNNING: Phase.RUNNING},
    happened.Preempted: {Phase.RUNNING: Phase.PREEMPTED},
    happened.CancelRequested: {
        Phase.HELD: Phase.CANCELLING,
        Phase.WAITING: Phase.CANCELLING,
        Phase.RUNNING: Phase.CANCELLING,
        Phase.RETRY_WAIT: Phase.CANCELLING,
        Phase.RETRY_DUE: Phase.CANCELLING,
        Phase.AT_JOIN: Phase.CANCELLING,
        Phase.JOINED: Phase.CANCELLING,
        Phase.LOST: Phase.CANCELLING,
        Phase.PREEMPTED: Phase.CANCELLING,
        Phase.CANCELLING: Phase.CANCELLING,
    },
    happened.Cancelled: {Phase.CANCELLING: Phase.CANCELLED},
    happened.Succeeded: {Phase.RUNNING: Phase.SUCCEEDED},
    happened.Failed: {Phase.RUNNING: Phase.FAILED, Phase.AT_JOIN: Phase.FAILED},
    happened.Restarted: {Phase.FAILED: Phase.WAITING, Phase.CANCELLED: Phase.WAITING},
    happened.StepsTakenOver: {Phase.WAITING: Phase.WAITING},
}
"""From each event to the moves it makes; a pair that is not here is not legal."""


def celery_state(phase: Phase) -> CeleryState:
    """Return Celery's word for `phase` (docs/rules.md, "States")."""
    match phase:
        case Phase.HELD | Phase.WAITING | Phase.LOST | Phase.PREEMPTED:
            return CeleryState.PENDING
        case Phase.RUNNING | Phase.CANCELLING | Phase.AT_JOIN | Phase.JOINED:
            return CeleryState.STARTED
        case Phase.RETRY_WAIT | Phase.RETRY_DUE:
            return CeleryState.RETRY
        case Phase.SUCCEEDED:
            return CeleryState.SUCCESS
        case Phase.FAILED:
            return CeleryState.FAILURE
        case Phase.CANCELLED:
            return CeleryState.REVOKED
    assert_never(phase)


def status(phase: Phase) -> Status:
    """Return the record's word for `phase`."""
    match phase:
        case Phase.HELD | Phase.WAITING | Phase.LOST:
            return Status.QUEUED
        case Phase.RUNNING | Phase.CANCELLING | Phase.AT_JOIN | Phase.JOINED:
            return Status.RUNNING
        case Phase.RETRY_WAIT | Phase.RETRY_DUE:
            return Status.RETRYING
        case Phase.PREEMPTED:
            return Status.PREEMPTED
        case Phase.SUCCEEDED:
            return Status.COMPLETED
        case Phase.FAILED:
            return Status.FAILED
        case Phase.CANCELLED:
            return Status.CANCELLED
    assert_never(phase)
