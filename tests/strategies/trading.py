"""A step that trades, and waits for a file that a test makes before it does."""

import threading
from pathlib import Path

from pydantic import BaseModel

from shared.workflow import Context, Decision, Order, Workflow


class Parameters(BaseModel):
    """Where the gate is: `<gates>/open`; the run leaves `<gates>/trading.<task>` when it stands before it."""

    gates: Path


workflow = Workflow("trading", title="Trades when it is let", parameters=Parameters)


@workflow.step
def decide(ctx: Context[Parameters]) -> list[Decision]:
    """Decide on one order."""
    return [Decision(symbol="MSFT", action="buy", quantity=1, reason="the test wants it")]


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Wait for the gate, and place it."""
    (ctx.parameters.gates / f"trading.{ctx.task_id}").touch()
    pause = threading.Event()
    while not (ctx.parameters.gates / "open").exists():
        pause.wait(0.01)
        ctx.checkpoint()
    return [ctx.broker.place(decision) for decision in decide]
