"""The documents that the gateway answers with, for the OpenAPI document: what is sent is made by `shared.documents`.

A test holds these fields and those of the views together.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.gateway.readiness import Verdict
from shared.domain.catalogue import StepScope
from shared.domain.execution_records import StepState
from shared.domain.orders import OrderState
from shared.domain.phases import CeleryState, Status
from shared.domain.priority import Priority


class Acceptance(BaseModel):
    """A task that is durably recorded."""

    task_id: UUID
    state: CeleryState
    priority: Priority
    strategy_id: str
    symbols: list[str]
    submitted_at: datetime


class BatchAcceptance(BaseModel):
    """The tasks of a batch, in its order."""

    items: list[Acceptance]


class CancelAnswer(BaseModel):
    """A task after it was cancelled; `was` is its status before, `cancelling` tells that its worker has yet to stop."""

    task_id: UUID
    state: CeleryState
    was: Status
    cancelling: bool


class BulkCancelAnswer(BaseModel):
    """The tasks that matched. `count` of them end: `cancelled` have, `cancelling` (`cancelling_ids`) have yet to be let
    go by their workers. Those that had `finished` before stay as they are; more than 100,000 are not counted.
    """

    count: int
    cancelled: int
    cancelling: int
    finished: int
    task_ids: list[UUID]
    cancelling_ids: list[UUID]


class StepProgress(BaseModel):
    """How far the running step says it is."""

    done: float | None = None
    total: float | None = None
    message: str | None = None


class Progress(BaseModel):
    """How far a run has come; `fraction` is 0 to 1."""

    current_step: str | None
    completed_steps: int
    total_steps: int
    current_symbol: str | None
    completed_symbols: list[str]
    total_symbols: int
    fraction: float
    step_progress: StepProgress | None = None


class TaskError(BaseModel):
    """Why a run or a step failed."""

    type: str
    message: str
    retryable: bool
    timed_out: bool
    step: str | None
    symbol: str | None
    traceback: str


class Task(BaseModel):
    """A task: what was asked for, where it stands, and what came of it."""

    task_id: UUID
    strategy_id: str
    symbols: list[str]
    priority: Priority
    user_id: str
    labels: dict[str, str]
    parameters: dict[str, Any]
    state: CeleryState
    status: Status
    reason: str | None
    cancelling: bool
    progress: Progress
    result: dict[str, Any] | None
    result_expires_at: datetime | None
    result_expired: bool
    result_error: str | None
    partial_result: dict[str, Any] | None
    error: TaskError | None
    attempts: int
    max_retries: int
    next_retry_at: datetime | None
    preemptions: int
    preempted_by: str | None
    preempted_at: datetime | None
    submitted_at: datetime
    waiting_since: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    worker: str | None
    schedule_id: str | None
    scheduled_at: datetime | None
    held: bool
    parent_task_id: str | None
    trace_id: str | None
    version: int


class TaskPage(BaseModel):
    """Tasks, newest first."""

    items: list[Task]
    next_cursor: str | None


class Step(BaseModel):
    """One step of a task, for one symbol where it runs for each."""

    index: int
    step: str
    symbol: str | None
    state: StepState
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    worker: str | None
    output: Any
    error: TaskError | None


class StepPage(BaseModel):
    """Steps in the order in which they run."""

    items: list[Step]
    next_cursor: str | None


class Artifact(BaseModel):
    """Something that a step kept for people; `url` is where it is sent from. One that was taken over has no step."""

    name: str
    media_type: str
    size: int
    sha256: str
    url: str
    step: str | None
    symbol: str | None


class ArtifactPage(BaseModel):
    """Artifacts in the order in which they were first kept."""

    items: list[Artifact]
    next_cursor: str | None


class Order(BaseModel):
    """One order of the ledger; amounts are decimal strings, `step_symbol` is whose turn it was in its step."""

    client_order_id: str
    task_id: UUID
    step: str
    step_symbol: str | None
    symbol: str
    side: str
    quantity: str
    limit_price: str | None
    state: OrderState
    venue_order_id: str | None
    filled_quantity: str
    average_price: str | None
    fees: str | None
    requested_at: datetime
    submitted_at: datetime | None
    filled_at: datetime | None
    reason: str | None


class OrderPage(BaseModel):
    """Orders: all of them newest first, those of one task oldest first."""

    items: list[Order]
    next_cursor: str | None


class EventRecord(BaseModel):
    """One event of the log; `position` orders all events, `version` those of its stream."""

    position: int
    stream: UUID
    version: int
    type: str
    at: datetime
    actor: str
    data: dict[str, Any]
    trace_id: str | None


class EventPage(BaseModel):
    """Events, oldest first."""

    items: list[EventRecord]
    next_cursor: str | None


class CloudEvent(BaseModel):
    """One event of the log in the JSON format of CloudEvents 1.0; there is no `traceparent` where no trace is known."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    position: int
    actor: str
    data: dict[str, Any]
    traceparent: str = ""


class CloudEventPage(BaseModel):
    """Events in their order; `position` is how far the log was looked through, for the next `after`."""

    items: list[CloudEvent]
    next_cursor: str | None
    position: int


class StrategyStep(BaseModel):
    """A declared step."""

    name: str
    kind: str
    each: StepScope


class StrategyAnswer(BaseModel):
    """A strategy that can be run; `parameters_schema` is JSON Schema, draft 2020-12."""

    strategy_id: str
    title: str
    description: str
    steps: list[StrategyStep]
    parameters_schema: dict[str, Any]
    defaults: dict[str, Any]
    max_retries: int
    timeout_seconds: float


class BrokenAnswer(BaseModel):
    """A strategy that could not be loaded."""

    file: str
    error: str


class StrategyPage(BaseModel):
    """All strategies, by id."""

    items: list[StrategyAnswer]
    broken: list[BrokenAnswer]


class Alive(BaseModel):
    """The process answers."""

    status: str


class PartAnswer(BaseModel):
    """One part: whether it is up, why not, and figures of its own beside these."""

    up: bool
    detail: str | None


class ReadyAnswer(BaseModel):
    """Every part by name. `degraded` accepts tasks and keeps them; `unavailable` cannot."""

    status: Verdict
    parts: dict[str, PartAnswer]


class FieldProblem(BaseModel):
    """One thing wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457; `code` is stable, `detail` says what to do next, `errors` come with bad input only."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = None
