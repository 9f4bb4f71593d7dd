"""What can happen to a branch: one member of a stage, in a stream of its own, so that no two members ever conflict."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.domain.events import EVENTS, Event
from shared.domain.execution_events import Artifact
from shared.domain.failures import Failure
from shared.domain.outputs import Output


class BranchEvent(Event, frozen=True, kw_only=True):
    """Base of all: the run and stage that the branch belongs to, its step and symbol, and its attempt, from 1."""

    task_id: UUID
    opening: int
    step: str
    symbol: str | None = None
    attempt: int


@EVENTS.add
class BranchAttemptStarted(BranchEvent, frozen=True, kw_only=True):
    """A worker claimed the branch."""

    TOPIC: ClassVar[str] = "branch.attempt_started"

    worker: str


@EVENTS.add
class BranchCompleted(BranchEvent, frozen=True, kw_only=True):
    """The step returned; it never runs again in this run."""

    TOPIC: ClassVar[str] = "branch.completed"

    output: Output
    started_at: datetime
    artifacts: tuple[Artifact, ...] = ()


@EVENTS.add
class BranchFailed(BranchEvent, frozen=True, kw_only=True):
    """The step failed for good. Its run goes on without it, or has failed in the same append.

    `started_at` is None when its worker was lost too often.
    """

    TOPIC: ClassVar[str] = "branch.failed"

    failure: Failure
    started_at: datetime | None = None


@EVENTS.add
class BranchRetryScheduled(BranchEvent, frozen=True, kw_only=True):
    """The step failed and is tried again at `due_at`; `retry` counts from 1."""

    TOPIC: ClassVar[str] = "branch.retry_scheduled"

    failure: Failure
    retry: int
    started_at: datetime
    due_at: datetime


@EVENTS.add
class BranchRetryDue(BranchEvent, frozen=True, kw_only=True):
    """The delay is over; the branch waits for a worker again."""

    TOPIC: ClassVar[str] = "branch.retry_due"


@EVENTS.add
class BranchWorkerLost(BranchEvent, frozen=True, kw_only=True):
    """The worker of an attempt died, or has not been heard of for too long; the branch goes on elsewhere."""

    TOPIC: ClassVar[str] = "branch.worker_lost"

    worker: str
    reason: str


@EVENTS.add
class BranchPreemptionRequested(BranchEvent, frozen=True, kw_only=True):
    """A run of a higher level waits, and every worker is taken: this attempt is to stop at its next safe point."""

    TOPIC: ClassVar[str] = "branch.preemption_requested"

    preempted_by: str


@EVENTS.add
class BranchPreempted(BranchEvent, frozen=True, kw_only=True):
    """The attempt gave its worker to the task `preempted_by`; the branch starts anew later."""

    TOPIC: ClassVar[str] = "branch.preempted"

    preempted_by: str


@EVENTS.add
class BranchClosed(BranchEvent, frozen=True, kw_only=True):
    """The attempt was stopped, because its run is being cancelled or has ended."""

    TOPIC: ClassVar[str] = "branch.closed"

    reason: str
