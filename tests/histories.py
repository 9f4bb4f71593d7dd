"""Histories: runs that anything may happen to, in any order that their commands allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.domain.branch import Branch
from shared.domain.catalogue import StepKind
from shared.domain.errors import Refused
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.views import ledger_views, step_views, task_view
from shared.log.event_log import EventLog
from shared.log.runs import Recorded
from tests.builders import WORKER, complete_next, failure, open_stage, order, outcome, stamp, submitted

ACTIONS = (
    "claim",
    "complete",
    "collect",
    "retry",
    "due",
    "order",
    "cancel",
    "obey",
    "succeed",
    "fail",
    "lose",
    "send",
    "resolve",
    "ask",
    "make way",
    "fill",
)

STAGE_ACTIONS = (
    "open",
    "start",
    "finish",
    "break",
    "put off",
    "wake",
    "bereave",
    "nudge",
    "yield",
    "close",
    "settle",
    "time out",
)
"""What may happen to a run with steps that run side by side, and to their branches; nothing happens to other runs."""

GO_ON = "go on"
"""Somebody asks for a run to go on now; one that has ended lives on."""


def act(execution: WorkflowExecution, action: str, second: float) -> None:
    """Do one thing to a run, or nothing when it is not possible now."""
    attempt, at, key = execution.attempts, stamp(second), execution.next_position()
    try:
        match action, key:
            case "claim", _:
                execution.claim(at, attempt=attempt + 1, worker=WORKER)
            case "complete", (_, _):
                complete_next(execution, at, {"second": second})
            case "collect", (step, str(symbol)):
                execution.collect_failure(
                    at, attempt=attempt, step=step, symbol=symbol, failure=failure(), started_at=at.at
                )
            case "retry", (step, symbol):
                execution.schedule_retry(
                    at, attempt=attempt, step=step, symbol=symbol, failure=failure(), started_at=at.at, due_at=at.at
                )
            case "due", _:
                execution.fall_due(at)
            case "order", (step, symbol):
                name = f"{execution.id}/{second}"
                execution.request_order(
                    at, attempt=attempt, client_order_id=name, step=step, symbol=symbol, order=order()
                )
                execution.settle_order(at, attempt=attempt, client_order_id=name, outcome=outcome())
            case "send", (step, symbol):
                execution.request_order(
                    at,
                    attempt=attempt,
                    client_order_id=f"{execution.id}/{second}",
                    step=step,
                    symbol=symbol,
                    order=order(),
                )
            case "resolve", _:
                for record in [each for each in execution.orders.values() if each.is_open]:
                    execution.resolve_order(at, client_order_id=record.client_order_id, outcome=outcome())
            case "fill", _:
                for record in [each for each in execution.orders.values() if each.state is OrderState.PLACED]:
                    some = outcome(filled_quantity=str(int(second)), state="filled" if second % 2 else "placed")
                    execution.follow_order(at, client_order_id=record.client_order_id, outcome=some)
            case "lose", _:
                execution.lose_worker(at, attempt=attempt, worker=WORKER, reason="no heartbeat", max_losses=3)
            case "ask", _:
                execution.request_preemption(at, attempt=attempt, preempted_by=f"{second}")
            case "make way", _:
                execution.make_way(at, attempt=attempt)
            case "cancel", _:
                execution.request_cancel(at, reason="enough")
            case "obey", _:
                execution.end_cancelled(at, attempt=attempt)
            case "succeed", None:
                execution.succeed(at, attempt=attempt, result=Output(inline={"decisions": []}))
            case "fail", (step, symbol):
                execution.fail(at, attempt=attempt, failure=failure(), step=step, symbol=symbol, started_at=at.at)
            case "open", (step, _) if execution.described(step).kind is StepKind.PARALLEL:
                open_stage(execution, at)
            case "settle", _:
                execution.settle_stage(at)
            case "time out", _:
                execution.time_out_in_stage(at)
            case "go on", _:
                execution.retry_now(at)
            case _ if (branch := _one_of(execution, action, second)) is not None:
                act_on_branch(branch, action, second)
    except Refused:
        pass


def _one_of(execution: WorkflowExecution, action: str, second: float) -> Branch | None:
    """Choose the branch that something happens to, of those that it might be possible for, also stragglers."""
    match action:
        case "start":
            able = [each for each in execution.branches.values() if not each.at_work and not each.phase.ended]
        case "wake":
            able = [each for each in execution.branches.values() if each.next_retry_at is not None]
        case _:
            able = [each for each in execution.branches.values() if each.at_work]
    return able[int(second) % len(able)] if able else None


def act_on_branch(branch: Branch, action: str, second: float, *, attempt: int | None = None) -> None:
    """Do one thing to a branch, as its last attempt or as another; raises Refused when it is not possible now."""
    attempt, at = branch.attempts if attempt is None else attempt, stamp(second)
    match action:
        case "start":
            branch.claim(at, attempt=attempt + 1, worker=WORKER)
        case "finish":
            branch.complete(at, attempt=attempt, output=Output(inline={"second": second}), started_at=at.at)
        case "break":
            branch.fail(at, attempt=attempt, failure=failure(retryable=False), started_at=at.at)
        case "put off":
            branch.schedule_retry(at, attempt=attempt, failure=failure(), started_at=at.at, due_at=at.at)
        case "wake":
            branch.fall_due(at)
        case "bereave":
            branch.lose_worker(at, attempt=attempt, worker=WORKER, reason="no heartbeat", max_losses=3)
        case "nudge":
            branch.request_preemption(at, attempt=attempt, preempted_by=f"{second}")
        case "yield":
            branch.make_way(at, attempt=attempt)
        case "close":
            branch.close(at, attempt=attempt, reason="its task is over")


def seen(run: WorkflowExecution | None) -> Any:
    """All that the outside sees of a run, and what decides over its branches."""
    assert run is not None
    branches = {
        each.id: (each.phase, each.version, each.attempts, each.retries, each.losses, each.yields_to, each.worked)
        for each in run.branches.values()
    }
    return task_view(run), list(step_views(run)), list(ledger_views(run)), run.phase, run.changed_at, branches


def write_history(
    log: EventLog, moves: Sequence[tuple[int, str]], *, topics: Sequence[str], **changes: Any
) -> list[Recorded]:
    """Append what the moves of four runs come to, as they interleave, and return what is new under `topics`.

    `changes` are those to the submissions: `steps=PARALLEL_PLAN` for runs that STAGE_ACTIONS do something to.
    """
    runs = [submitted(at=stamp(number), **changes) for number in range(4)]
    start = log.head()
    for run in runs:
        log.save_execution(run)
    for second, (number, action) in enumerate(moves, start=10):
        act(runs[number], action, second)
        log.append(runs[number].collect_events())
    return log.read(start, limit=10_000, topics=topics)
