"""What can happen to a workflow execution. The task id is the stream's id."""

from datetime import date, datetime
from typing import Any, ClassVar

import msgspec

from shared.domain.catalogue import StepDescription
from shared.domain.events import EVENTS, Event
from shared.domain.failures import Failure
from shared.domain.outputs import ObjectRef, Output
from shared.domain.priority import Priority


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a step kept for people, under a name unique within the run."""

    name: str
    ref: ObjectRef


class RequestedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is sent; quantity in units and price in the account's currency, as decimal strings."""

    symbol: str
    side: str
    quantity: str
    limit_price: str | None = None
    as_of: date | None = None


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue said; `state` is `placed` or `filled`, `rejected` only for one that ended unfilled later.

    Amounts are decimal strings.
    """

    state: str
    venue_order_id: str | None = None
    filled_quantity: str = "0"
    average_price: str | None = None
    fees: str | None = None
    submitted_at: datetime | None = None
    filled_at: datetime | None = None


@EVENTS.add
class Submitted(Event, frozen=True, kw_only=True):
    """A user asked for a run, or a schedule for the time `scheduled_at`; the plan (`steps`, `definition_hash`,
    `limits`) is pinned to it here. One that is `held` waits for its schedule to release it.
    """

    TOPIC: ClassVar[str] = "execution.submitted"

    strategy_id: str
    symbols: tuple[str, ...]
    priority: Priority
    user_id: str
    parameters: dict[str, Any]
    labels: dict[str, str]
    max_retries: int
    timeout_seconds: float
    result_ttl_seconds: float
    retry_delay_seconds: float
    steps: tuple[StepDescription, ...]
    definition_hash: str
    retry_jitter: float = 0.0
    request_hash: str | None = None
    schedule_id: str | None = None
    parent_task_id: str | None = None
    limits: dict[str, int] = {}
    scheduled_at: datetime | None = None
    held: bool = False


@EVENTS.add
class Released(Event, frozen=True, kw_only=True):
    """The schedule of a held run has let it go; it waits for a worker."""

    TOPIC: ClassVar[str] = "execution.released"


@EVENTS.add
class AttemptStarted(Event, frozen=True, kw_only=True):
    """A worker claimed the run; attempts count from 1."""

    TOPIC: ClassVar[str] = "execution.attempt_started"

    attempt: int
    worker: str


class StepEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about one step, and one symbol where the step runs for each."""

    attempt: int
    step: str
    symbol: str | None = None
    started_at: datetime


@EVENTS.add
class StepCompleted(StepEvent, frozen=True, kw_only=True):
    """A step returned; it never runs again in this run."""

    TOPIC: ClassVar[str] = "execution.step_completed"

    output: Output
    artifacts: tuple[Artifact, ...] = ()


@EVENTS.add
class FailureCollected(StepEvent, frozen=True, kw_only=True):
    """A step failed for good for one symbol, and the run goes on with the others."""

    TOPIC: ClassVar[str] = "execution.failure_collected"

    failure: Failure


@EVENTS.add
class RetryScheduled(StepEvent, frozen=True, kw_only=True):
    """A step failed and is tried again at `due_at`; `retry` counts from 1 for this step and symbol."""

    TOPIC: ClassVar[str] = "execution.retry_scheduled"

    failure: Failure
    retry: int
    due_at: datetime


@EVENTS.add
class RetryDue(Event, frozen=True, kw_only=True):
    """The delay is over; the run waits for a worker again."""

    TOPIC: ClassVar[str] = "execution.retry_due"


class OrderEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about one order."""

    attempt: int
    client_order_id: str


@EVENTS.add
class OrderRequested(OrderEvent, frozen=True, kw_only=True):
    """An order is about to be sent; this is in the log before it leaves."""

    TOPIC: ClassVar[str] = "execution.order_requested"

    step: str
    symbol: str | None = None
    order: RequestedOrder


@EVENTS.add
class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """The venue accepted the order."""

    TOPIC: ClassVar[str] = "execution.order_placed"

    outcome: OrderOutcome


@EVENTS.add
class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The venue refused the order; it will never be filled."""

    TOPIC: ClassVar[str] = "execution.order_rejected"

    reason: str


@EVENTS.add
class OrderUpdated(OrderEvent, frozen=True, kw_only=True):
    """What has become of an order since the venue took it: more of it is filled, or it has ended."""

    TOPIC: ClassVar[str] = "execution.order_updated"

    outcome: OrderOutcome
    reason: str | None = None


@EVENTS.add
class OrderAmbiguous(OrderEvent, frozen=True, kw_only=True):
    """The order was sent and nobody knows whether it arrived."""

    TOPIC: ClassVar[str] = "execution.order_ambiguous"

    reason: str


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step and symbol that runs as a task of its own, beside the other members of its stage.

    For each key of `limits` at most so many tasks are at work at once, over all runs.
    """

    step: str
    symbol: str | None = None
    limits: dict[str, int] = {}


@EVENTS.add
class StageOpened(Event, frozen=True, kw_only=True):
    """The attempt has come to steps that run side by side, and gave its worker back until all `members` have ended.

    `opening` counts the run's stages from 1 and names their streams (`shared.domain.branch.branch_id`). At most
    `max_parallel` members are at work at once, None for the dispatcher's default.
    """

    TOPIC: ClassVar[str] = "execution.stage_opened"

    attempt: int
    opening: int
    members: tuple[Member, ...]
    max_parallel: int | None = None


@EVENTS.add
class StageClosed(Event, frozen=True, kw_only=True):
    """Every member of the stage has ended; the run waits for a worker to go on."""

    TOPIC: ClassVar[str] = "execution.stage_closed"

    opening: int
    completed: int
    failed: int


@EVENTS.add
class WorkerLost(Event, frozen=True, kw_only=True):
    """The worker of an attempt died, or has not been heard of for too long; the run goes on elsewhere."""

    TOPIC: ClassVar[str] = "execution.worker_lost"

    attempt: int
    worker: str
    reason: str


@EVENTS.add
class PreemptionRequested(Event, frozen=True, kw_only=True):
    """A run of a higher level waits, and every worker is taken: this attempt is to stop at its next safe point."""

    TOPIC: ClassVar[str] = "execution.preemption_requested"

    attempt: int
    preempted_by: str


@EVENTS.add
class Preempted(Event, frozen=True, kw_only=True):
    """The attempt gave its worker to the task `preempted_by`; the run goes on later from where it was."""

    TOPIC: ClassVar[str] = "execution.preempted"

    attempt: int
    preempted_by: str


@EVENTS.add
class CancelRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for the run to stop; from here on it can only be cancelled, by `force` at once."""

    TOPIC: ClassVar[str] = "execution.cancel_requested"

    reason: str | None = None
    force: bool = False


@EVENTS.add
class Cancelled(Event, frozen=True, kw_only=True):
    """The run was stopped on request."""

    TOPIC: ClassVar[str] = "execution.cancelled"


@EVENTS.add
class Succeeded(Event, frozen=True, kw_only=True):
    """Every step is done; `result` is what the task answers, in place or by reference."""

    TOPIC: ClassVar[str] = "execution.succeeded"

    attempt: int
    result: Output


@EVENTS.add
class Failed(Event, frozen=True, kw_only=True):
    """The run ended with an error; `step` is None when none of its steps was to blame."""

    TOPIC: ClassVar[str] = "execution.failed"

    attempt: int
    failure: Failure
    step: str | None = None
    symbol: str | None = None
    started_at: datetime | None = None


@EVENTS.add
class Restarted(Event, frozen=True, kw_only=True):
    """Somebody asked for a failed or cancelled run to go on from where it ended; nothing that is done is done again.

    Its retries, losses and time at work count anew.
    """

    TOPIC: ClassVar[str] = "execution.restarted"


class TakenStep(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier run made of one step and symbol: `output`, or the failure that it collected."""

    step: str
    symbol: str | None = None
    output: Output | None = None
    failure: Failure | None = None


@EVENTS.add
class StepsTakenOver(Event, frozen=True, kw_only=True):
    """The run begins with the results that these steps had in the run `from_task`."""

    TOPIC: ClassVar[str] = "execution.steps_taken_over"

    from_task: str
    steps: tuple[TakenStep, ...]
    artifacts: tuple[Artifact, ...] = ()
