"""Builders: a run in any phase, said in the words that matter to the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from shared.domain.branch import Branch
from shared.domain.catalogue import OnError, StepDescription, StepKind, StepScope
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
PARALLEL_PLAN = (
    StepDescription(name="load"),
    StepDescription(
        name="analyse", each=StepScope.SYMBOL, kind=StepKind.PARALLEL, inputs=("load",), on_error=OnError.COLLECT
    ),
    StepDescription(name="rank", each=StepScope.SYMBOL, inputs=("analyse",)),
    StepDescription(name="decide", inputs=("rank",)),
)
"""Its second step runs its symbols side by side, and goes on without those that fail."""


def parallel_plan(**changes: Any) -> tuple[StepDescription, ...]:
    """PARALLEL_PLAN with changes to the step that runs side by side."""
    load, analyse, *later = PARALLEL_PLAN
    return load, msgspec.structs.replace(analyse, **changes), *later


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


def fail_next(execution: WorkflowExecution, at: Stamp) -> None:
    """Fail the run in the step and symbol that come next, as the attempt that runs."""
    key = execution.next_position()
    assert key is not None
    execution.fail(
        at,
        attempt=execution.attempts,
        failure=failure(retryable=False),
        step=key[0],
        symbol=key[1],
        started_at=at.at,
    )


def restarted(execution: WorkflowExecution, at: Stamp) -> WorkflowExecution:
    """Have a run that has failed or was cancelled go on, start its next attempt, and return it."""
    execution.retry_now(at)
    execution.claim(at, attempt=execution.attempts + 1, worker=WORKER)
    return execution


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


def open_stage(execution: WorkflowExecution, at: Stamp) -> None:
    """Have what is left of the next step run side by side, as the attempt that runs."""
    position = execution.next_position()
    assert position is not None
    members = [key for key in execution.positions() if key[0] == position[0] and not execution.is_settled(key)]
    execution.open_stage(at, attempt=execution.attempts, members=members)


def at_join(**changes: Any) -> WorkflowExecution:
    """A run of PARALLEL_PLAN that waits at the join since three seconds after NOW, no member claimed yet."""
    execution = running(**({"steps": PARALLEL_PLAN} | changes))
    complete_next(execution, stamp(2))
    open_stage(execution, stamp(3))
    return execution


def claimed(execution: WorkflowExecution, symbol: str, at: Stamp, *, worker: str = WORKER) -> Branch:
    """Claim the member for `symbol` of the stage that was opened last, and return it."""
    branch = execution.members["analyse", symbol]
    branch.claim(at, attempt=branch.attempts + 1, worker=worker)
    return branch


def complete_member(execution: WorkflowExecution, symbol: str, at: Stamp, value: Any = None) -> None:
    """Complete the member for `symbol`; if no worker has it, it is claimed at the same moment."""
    branch = execution.members["analyse", symbol]
    if not branch.at_work:
        claimed(execution, symbol, at)
    branch.complete(at, attempt=branch.attempts, output=Output(inline=value), started_at=at.at)


def fail_member(execution: WorkflowExecution, symbol: str, at: Stamp, **changes: Any) -> None:
    """Fail the member for `symbol` for good; if no worker has it, it is claimed at the same moment."""
    branch = execution.members["analyse", symbol]
    if not branch.at_work:
        claimed(execution, symbol, at)
    branch.fail(at, attempt=branch.attempts, failure=failure(retryable=False, **changes), started_at=at.at)


def retry_member(execution: WorkflowExecution, symbol: str, at: Stamp, *, due_in: float = 1.0) -> None:
    """Have the member for `symbol` tried again; if no worker has it, it is claimed at the same moment."""
    branch = execution.members["analyse", symbol]
    if not branch.at_work:
        claimed(execution, symbol, at)
    due_at = at.at + timedelta(seconds=due_in)
    branch.schedule_retry(at, attempt=branch.attempts, failure=failure(), started_at=at.at, due_at=due_at)


def joined(**changes: Any) -> WorkflowExecution:
    """A run whose stage has closed, all of its members completed."""
    execution = at_join(**changes)
    for _, symbol in list(execution.members):
        assert symbol is not None
        complete_member(execution, symbol, stamp(4))
    execution.settle_stage(stamp(5))
    return execution


def in_phase(phase: Phase, **changes: Any) -> WorkflowExecution:
    """A run that stands in `phase`, come there by its own commands."""
    match phase:
        case Phase.HELD:
            return submitted(**{"held": True} | changes)
        case Phase.WAITING:
            return submitted(**changes)
        case Phase.AT_JOIN:
            return at_join(**changes)
        case Phase.JOINED:
            return joined(**changes)
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
