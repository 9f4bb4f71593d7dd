"""How a run looks from outside: the task and its steps as the public API shows them, computed from the fold alone.

The projector writes these into its tables, and the gateway computes the same when a projection is behind or away,
so that both say the same by construction.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.domain.catalogue import StepScope
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_records import OrderRecord, StepKey, StepRecord, StepState
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.phases import CeleryState, Phase, Status, celery_state, status
from shared.domain.priority import Priority


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come.

    `completed_symbols` are those done within the current step, in the order submitted; `fraction` (0..1) counts a
    step in part while its symbols are done in part. The pair of `completed_steps` and the number of completed
    symbols never goes backwards, unless a restart tries again what had failed.
    """

    current_step: str | None
    completed_steps: int
    total_steps: int
    current_symbol: str | None
    completed_symbols: tuple[str, ...]
    total_symbols: int
    fraction: float


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed."""

    type: str
    message: str
    retryable: bool
    timed_out: bool
    step: str | None
    symbol: str | None
    traceback: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task as `GET /api/tasks/{task_id}` answers it, but for what depends on the time of asking.

    `late_orders` takes the place of the result's orders, which are older. `scheduled_at` is the time that a schedule
    fired the run for; one that is `held` waits until the schedule lets it go. `waiting_since` is when it began to wait
    for a worker, if it does. `version` counts the events of the run
    and its branches: of two views of a run the greater one is the newer.
    """

    task_id: str
    strategy_id: str
    symbols: tuple[str, ...]
    priority: Priority
    user_id: str
    labels: dict[str, str]
    parameters: dict[str, Any]
    state: CeleryState
    status: Status
    cancelling: bool
    progress: ProgressView
    result: Output | None
    result_expires_at: datetime | None
    partial_result: dict[str, Any] | None
    late_orders: tuple[dict[str, Any], ...] | None
    error: ErrorView | None
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


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `GET /api/tasks/{task_id}/steps`; `index` orders rows as they run, from 0."""

    index: int
    step: str
    symbol: str | None
    state: StepState
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    worker: str | None
    output: Output | None
    error: ErrorView | None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `GET /api/orders`; amounts are decimal strings. `step_symbol` is whose turn it was in the step.

    `submitted_at` is when the venue had it and `filled_at` when it was filled, both as the venue tells.
    """

    client_order_id: str
    task_id: str
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


def task_view(execution: WorkflowExecution) -> TaskView:
    """Return the task that `execution` is."""
    submitted = execution.submitted
    finished_at, started_at = execution.finished_at, execution.started_at
    ttl = timedelta(seconds=submitted.result_ttl_seconds)
    return TaskView(
        task_id=str(execution.id),
        strategy_id=submitted.strategy_id,
        symbols=submitted.symbols,
        priority=submitted.priority,
        user_id=submitted.user_id,
        labels=submitted.labels,
        parameters=submitted.parameters,
        state=celery_state(execution.phase),
        status=status(execution.phase),
        cancelling=execution.phase is Phase.CANCELLING,
        progress=_progress(execution),
        result=execution.result,
        result_expires_at=finished_at + ttl if finished_at and execution.result else None,
        partial_result=_partial_result(execution),
        late_orders=late_orders(execution),
        error=_error(execution),
        attempts=execution.attempts,
        max_retries=submitted.max_retries,
        next_retry_at=_next_retry_at(execution),
        preemptions=execution.preemptions,
        preempted_by=execution.preempted_by,
        preempted_at=execution.preempted_at,
        submitted_at=submitted.at,
        waiting_since=execution.waiting_since,
        started_at=started_at,
        finished_at=finished_at,
        duration_seconds=_seconds(started_at, finished_at),
        worker=execution.worker,
        schedule_id=submitted.schedule_id,
        scheduled_at=submitted.scheduled_at,
        held=execution.phase is Phase.HELD,
        parent_task_id=submitted.parent_task_id,
        trace_id=trace_id(submitted.trace),
        version=execution.events,
    )


def trace_id(traceparent: str | None) -> str | None:
    """Return the 32 hex digits of a W3C traceparent's trace id."""
    return traceparent.split("-")[1] if traceparent else None


def step_views(execution: WorkflowExecution) -> Iterator[StepView]:
    """Yield a row for each step and symbol of the plan, whether it has run or not."""
    running = execution.next_position() if execution.phase.at_work and not execution.in_stage else None
    for index, key in enumerate(execution.positions()):
        record = execution.steps.get(key) or StepRecord(step=key[0], symbol=key[1], state=StepState.PENDING)
        yield _step_view(execution, index, record, is_running=key == running)


def _step_view(execution: WorkflowExecution, index: int, record: StepRecord, *, is_running: bool) -> StepView:
    state, started_at, worker = record.state, record.started_at, record.worker
    branch = execution.stages.newest(record.step, record.symbol)
    if (record.step, record.symbol) in execution.left_out:
        state = StepState.SKIPPED
    elif is_running:
        state, started_at, worker = StepState.RUNNING, _running_since(execution), execution.worker
    elif branch is not None and branch.at_work:
        state, started_at, worker = StepState.RUNNING, branch.attempt_started_at, branch.worker
    elif not record.settled and (execution.phase is Phase.CANCELLED or (branch and execution.phase is Phase.FAILED)):
        state = StepState.CANCELLED
    return StepView(
        index=index,
        step=record.step,
        symbol=record.symbol,
        state=state,
        attempts=record.attempts,
        started_at=started_at,
        finished_at=record.finished_at,
        duration_seconds=_seconds(started_at, record.finished_at),
        worker=worker,
        output=record.output,
        error=_step_error(record),
    )


def _next_retry_at(execution: WorkflowExecution) -> datetime | None:
    """Return when the run, or the first of its branches that waits for a retry, goes on."""
    waiting = (branch.next_retry_at for branch in execution.stage()) if execution.phase is Phase.AT_JOIN else ()
    return min((at for at in waiting if at is not None), default=execution.next_retry_at)


def _running_since(execution: WorkflowExecution) -> datetime | None:
    """Return when the running step began: with the attempt, or when the step before it ended."""
    ends = [r.finished_at for r in execution.steps.values() if r.finished_at is not None]
    began = execution.attempt_started_at
    return max([*ends, began]) if began else None


def _progress(execution: WorkflowExecution) -> ProgressView:
    submitted = execution.submitted
    symbols = submitted.symbols
    total = len(submitted.steps)
    done = 0
    for step in submitted.steps:
        keys: list[StepKey] = (
            [(step.name, symbol) for symbol in symbols] if step.each is StepScope.SYMBOL else [(step.name, None)]
        )
        settled = [key for key in keys if execution.is_settled(key)]
        if len(settled) < len(keys):
            settled_keys = set(settled)
            left = next(key for key in keys if key not in settled_keys)
            finished = tuple(symbol for _, symbol in settled if symbol is not None)
            return ProgressView(
                current_step=step.name,
                completed_steps=done,
                total_steps=total,
                current_symbol=left[1],
                completed_symbols=finished,
                total_symbols=len(symbols),
                fraction=round((done + len(settled) / len(keys)) / total, 4),
            )
        done += 1
    return ProgressView(
        current_step=None,
        completed_steps=done,
        total_steps=total,
        current_symbol=None,
        completed_symbols=symbols,
        total_symbols=len(symbols),
        fraction=1.0,
    )


def _partial_result(execution: WorkflowExecution) -> dict[str, Any] | None:
    """Return what an ended run without a result leaves: which steps are done, and its orders."""
    if execution.phase not in (Phase.FAILED, Phase.CANCELLED) or not (execution.steps or execution.orders):
        return None
    completed = [
        {"step": record.step, "symbol": record.symbol}
        for key in execution.positions()
        if (record := execution.steps.get(key)) and record.state is StepState.COMPLETED
    ]
    return {"completed_steps": completed, "orders": [order_view(order) for order in execution.orders.values()]}


def late_orders(execution: WorkflowExecution) -> tuple[dict[str, Any], ...] | None:
    """Return the orders of a run that has succeeded, None when its result has them as they are."""
    if execution.phase is not Phase.SUCCEEDED or not execution.has_late_orders:
        return None
    return tuple(order_view(order) for order in execution.orders.values())


def ledger_views(execution: WorkflowExecution) -> Iterator[OrderView]:
    """Yield the orders of a run in the order in which they were requested."""
    for record in execution.orders.values():
        outcome = record.outcome
        yield OrderView(
            client_order_id=record.client_order_id,
            task_id=str(execution.id),
            step=record.step,
            step_symbol=record.symbol,
            symbol=record.order.symbol,
            side=record.order.side,
            quantity=record.order.quantity,
            limit_price=record.order.limit_price,
            state=record.state,
            venue_order_id=outcome.venue_order_id if outcome else None,
            filled_quantity=outcome.filled_quantity if outcome else "0",
            average_price=outcome.average_price if outcome else None,
            fees=outcome.fees if outcome else None,
            requested_at=record.requested_at,
            submitted_at=outcome.submitted_at if outcome else None,
            filled_at=outcome.filled_at if outcome else None,
            reason=record.reason,
        )


def order_view(record: OrderRecord) -> dict[str, Any]:
    """Return an order of the ledger as results and `GET /api/orders` show it; amounts are decimal strings."""
    outcome = record.outcome
    view = {
        "client_order_id": record.client_order_id,
        "symbol": record.order.symbol,
        "side": record.order.side,
        "quantity": record.order.quantity,
        "state": str(record.state),
        "step": record.step,
        "requested_at": record.requested_at,
        "venue_order_id": outcome.venue_order_id if outcome else None,
        "filled_quantity": outcome.filled_quantity if outcome else "0",
        "average_price": outcome.average_price if outcome else None,
        "fees": outcome.fees if outcome else None,
        "submitted_at": outcome.submitted_at if outcome else None,
        "filled_at": outcome.filled_at if outcome else None,
        "reason": record.reason,
    }
    builtins: dict[str, Any] = msgspec.to_builtins(view)
    return builtins


def _error(execution: WorkflowExecution) -> ErrorView | None:
    failed = execution.failure
    if failed is None:
        return None
    return ErrorView(
        type=failed.failure.type,
        message=failed.failure.message,
        retryable=failed.failure.retryable,
        timed_out=failed.failure.timed_out,
        step=failed.step,
        symbol=failed.symbol,
        traceback=failed.failure.traceback,
    )


def _step_error(record: StepRecord) -> ErrorView | None:
    failure = record.failure
    if failure is None:
        return None
    return ErrorView(
        type=failure.type,
        message=failure.message,
        retryable=failure.retryable,
        timed_out=failure.timed_out,
        step=record.step,
        symbol=record.symbol,
        traceback=failure.traceback,
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
