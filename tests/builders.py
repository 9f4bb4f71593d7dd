"""Builders: a run in any phase, said in the words that matter to the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.domain.catalogue import StepDescription, StepScope
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import OrderOutcome, RequestedOrder
from shared.domain.failures import Failure
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.priority import Priority

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WORKER = "executor@test"
PLAN = (
    StepDescription(name="load"),
    StepDescription(name="analyse", each=StepScope.SYMBOL, inputs=("load",)),
    StepDescription(name="decide", inputs=("analyse",)),
)


def stamp(seconds: float = 0.0, *, actor: str = "user:ada", trace: str | None = TRACEPARENT) -> Stamp:
    """Who and when: `seconds` after NOW."""
    return Stamp(at=NOW + timedelta(seconds=seconds), actor=actor, trace=trace)


def failure(**changes: Any) -> Failure:
    """A failure that may be tried again."""
    fields: dict[str, Any] = {"type": "TemporaryError", "message": "the venue is busy", "retryable": True}
    return Failure(**(fields | changes))


def order(**changes: Any) -> RequestedOrder:
    """A buy order for ten MSFT."""
    return RequestedOrder(**({"symbol": "MSFT", "side": "buy", "quantity": "10"} | changes))


def outcome(**changes: Any) -> OrderOutcome:
    """A venue's word that it holds the order."""
    return OrderOutcome(**({"state": "placed", "venue_order_id": "v-1"} | changes))


def submitted(task_id: UUID | None = None, *, at: Stamp | None = None, **changes: Any) -> WorkflowExecution:
    """A run that waits for its first attempt, its one event still to be collected."""
    submission: dict[str, Any] = {
        "strategy_id": "sma-crossover",
        "symbols": ("AAPL", "MSFT"),
        "priority": Priority.NORMAL,
        "user_id": "ada",
        "parameters": {"fast": 20, "slow": 50},
        "labels": {"desk": "eu"},
        "max_retries": 3,
        "timeout_seconds": 3600.0,
        "result_ttl_seconds": 86400.0,
        "retry_delay_seconds": 1.0,
        "steps": PLAN,
        "definition_hash": "0" * 64,
    }
    return WorkflowExecution.submit(task_id or uuid4(), at or stamp(), **(submission | changes))


def running(**changes: Any) -> WorkflowExecution:
    """A run whose first attempt has just started."""
    execution = submitted(**changes)
    execution.claim(stamp(1), attempt=1, worker=WORKER)
    return execution


def with_order(execution: WorkflowExecution, name: str, at: Stamp, **changes: Any) -> WorkflowExecution:
    """Request an order under the id `name`, as the attempt that runs, and return the run."""
    execution.request_order(
        at, attempt=execution.attempts, client_order_id=name, step="decide", symbol=None, order=order(**changes)
    )
    return execution


def complete_next(execution: WorkflowExecution, at: Stamp, value: Any = None) -> None:
    """Complete the step and symbol that come next, as the attempt that runs."""
    key = execution.next_position()
    assert key is not None
    execution.complete_step(
        at,
        attempt=execution.attempts,
        step=key[0],
        symbol=key[1],
        output=Output(inline=value),
        started_at=at.at - timedelta(seconds=0.5),
    )


def complete_all(execution: WorkflowExecution, at: Stamp | None = None) -> None:
    """Complete every step that is left, and the run."""
    moment = at or stamp(10)
    while execution.next_position() is not None:
        complete_next(execution, moment)
    result = Output(inline={"decisions": [], "orders": [], "errors": [], "artifacts": [], "output": None})
    execution.succeed(moment, attempt=execution.attempts, result=result)


def waiting_for_retry(**changes: Any) -> WorkflowExecution:
    """A run whose first step has failed once and is tried again two seconds after NOW."""
    execution = running(**changes)
    execution.schedule_retry(
        stamp(2),
        attempt=1,
        step="load",
        symbol=None,
        failure=failure(),
        started_at=stamp(1).at,
        due_at=stamp(3).at,
    )
    return execution


def in_phase(phase: Phase, **changes: Any) -> WorkflowExecution:
    """A run that stands in `phase`, come there by its own commands."""
    match phase:
        case Phase.WAITING:
            return submitted(**changes)
        case Phase.RETRY_WAIT:
            return waiting_for_retry(**changes)
        case Phase.RETRY_DUE:
            execution = waiting_for_retry(**changes)
            execution.fall_due(stamp(3))
            return execution
    execution = running(**changes)
    match phase:
        case Phase.SUCCEEDED:
            complete_all(execution)
        case Phase.LOST:
            execution.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=3)
        case Phase.PREEMPTED:
            execution.request_preemption(stamp(2), attempt=1, preempted_by=str(uuid4()))
            execution.make_way(stamp(2), attempt=1)
        case Phase.FAILED:
            execution.fail(stamp(2), attempt=1, failure=failure(retryable=False), step="load", started_at=stamp(1).at)
        case Phase.CANCELLING | Phase.CANCELLED:
            execution.request_cancel(stamp(2), reason="not needed any more")
    if phase is Phase.CANCELLED:
        execution.end_cancelled(stamp(2.5), attempt=1)
    return execution
