"""Four steps, the third of which places five orders; each call of a step leaves a line in a file."""

import os
from pathlib import Path

from pydantic import BaseModel

from shared.workflow import Context, Decision, Order, Workflow

ORDERS = 5


class Parameters(BaseModel):
    """Where the calls of steps are noted, one line each: task, step, attempt."""

    calls: Path


workflow = Workflow("five-orders", title="Four steps and five orders", parameters=Parameters, max_retries=20)


def note(ctx: Context[Parameters], step: str) -> None:
    """Note that a step was called; one write, so that lines of many processes never mix."""
    line = f"{ctx.task_id} {step} {ctx.attempt}\n".encode()
    descriptor = os.open(ctx.parameters.calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


@workflow.step
def weigh(ctx: Context[Parameters]) -> int:
    """Begin."""
    note(ctx, "weigh")
    return 1


@workflow.step
def decide(ctx: Context[Parameters], weigh: int) -> list[Decision]:
    """Decide on five orders."""
    note(ctx, "decide")
    return [
        Decision(symbol="MSFT", action="buy", quantity=weigh + number, reason="the storm wants it")
        for number in range(ORDERS)
    ]


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Place them."""
    note(ctx, "trade")
    return [ctx.broker.place(decision) for decision in decide]


@workflow.step
def report(ctx: Context[Parameters], trade: list[Order]) -> int:
    """End."""
    note(ctx, "report")
    return len(trade)
