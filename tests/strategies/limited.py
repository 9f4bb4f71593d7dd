"""Steps side by side under limits: so many of a run at once, and so many of all runs that use one venue."""

import time

from shared.workflow import Context, Workflow

workflow = Workflow("limited", title="Steps under limits")


@workflow.step(each="symbol", parallel=True, max_parallel=1)
def one_by_one(ctx: Context, symbol: str) -> str:
    """Take a moment."""
    time.sleep(0.05)
    return symbol


@workflow.step(each="symbol", parallel=True, max_parallel=4, limits={"venue:test": 1})
def at_the_venue(ctx: Context, symbol: str, one_by_one: str) -> str:
    """Take a moment."""
    time.sleep(0.05)
    return one_by_one
