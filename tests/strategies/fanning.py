"""Steps side by side: three for each symbol, two charts in a group, and what joins them; each call leaves a line."""

import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from shared.workflow import Context, PermanentError, TemporaryError, Workflow


class Parameters(BaseModel):
    """`seconds` are those of each call; each leaves a line in the file `traces`.

    In the second step `busy` symbols fail once, `broken` ones for good until the file `mended` is there, and `deadly`
    ones bring their process down.
    """

    traces: str | None = None
    seconds: float = 0.0
    busy: list[str] = []
    broken: list[str] = []
    mended: str = "never"
    deadly: list[str] = []


def note(ctx: Context[Parameters], step: str, symbol: str) -> None:
    """Leave a line, and take some time."""
    if ctx.parameters.traces:
        with Path(ctx.parameters.traces).open("a") as file:
            file.write(f"{ctx.task_id} {step} {symbol}\n")
    time.sleep(ctx.parameters.seconds)


def declare(name: str, on_error: Literal["fail", "collect"]) -> Workflow:
    """Return the workflow; its second step may fail."""
    workflow = Workflow(name, title="Steps side by side", parameters=Parameters)

    @workflow.step(each="symbol", parallel=True)
    def load(ctx: Context[Parameters], symbol: str) -> int:
        note(ctx, "load", symbol)
        return len(symbol)

    @workflow.step(each="symbol", parallel=True, on_error=on_error)
    def check(ctx: Context[Parameters], symbol: str, load: int) -> int:
        note(ctx, "check", symbol)
        if symbol in ctx.parameters.deadly:
            os._exit(1)
        if symbol in ctx.parameters.broken and not Path(ctx.parameters.mended).exists():
            raise PermanentError(f"{symbol} is broken")
        if symbol in ctx.parameters.busy and ctx.attempt == 1:
            raise TemporaryError("busy")
        return load * 10

    @workflow.step(each="symbol", parallel=True)
    def rate(ctx: Context[Parameters], symbol: str, check: int) -> int:
        note(ctx, "rate", symbol)
        return check + 1

    @workflow.step(group="charts")
    def daily(ctx: Context[Parameters], rate: dict[str, int]) -> int:
        note(ctx, "daily", "-")
        ctx.artifact("daily.txt", f"{len(rate)} symbols")
        return len(rate)

    @workflow.step(group="charts")
    def weekly(ctx: Context[Parameters], rate: dict[str, int]) -> int:
        note(ctx, "weekly", "-")
        return sum(rate.values())

    @workflow.step
    def report(ctx: Context[Parameters], daily: int, weekly: int) -> list[int]:
        note(ctx, "report", "-")
        return [daily, weekly]

    return workflow


forgiving = declare("fanning", "collect")
strict = declare("brittle", "fail")
