"""Histories: runs that anything may happen to, in any order that their commands allow."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.errors import Refused
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.log.event_log import EventLog, Recorded
from tests.builders import WORKER, complete_next, failure, order, outcome, stamp, submitted

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
    except Refused:
        pass


def write_history(log: EventLog, moves: Sequence[tuple[int, str]], *, topics: Sequence[str]) -> list[Recorded]:
    """Append what the moves of four runs come to, as they interleave, and return what is new under `topics`."""
    runs = [submitted(at=stamp(number)) for number in range(4)]
    start = log.head()
    for run in runs:
        log.save_execution(run)
    for second, (number, action) in enumerate(moves, start=10):
        act(runs[number], action, second)
        log.append(runs[number].collect_events())
    return log.read(start, limit=10_000, topics=topics)
