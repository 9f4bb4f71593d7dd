"""A run that waits, symbol by symbol, for files that a test makes."""

import threading
from pathlib import Path

from pydantic import BaseModel

from shared.workflow import Context, Workflow


class Parameters(BaseModel):
    """Where the gates are: the run passes a symbol once `<gates>/<symbol>` exists, and notes its arrival there."""

    gates: Path


workflow = Workflow("gated", title="Waits for a test", parameters=Parameters)


@workflow.step(each="symbol")
def passed(ctx: Context[Parameters], symbol: str) -> str:
    """Note the arrival, and wait for the gate to open; say so."""
    gate = ctx.parameters.gates / symbol
    gate.with_suffix(f".{ctx.task_id}").touch()
    pause = threading.Event()
    while not gate.exists():
        ctx.progress(0, 1, "before the gate")
        pause.wait(0.01)
        ctx.checkpoint()
    return symbol.lower()


@workflow.step
def joined(ctx: Context[Parameters], passed: dict[str, str]) -> str:
    """Join what passed."""
    return "+".join(passed.values())
