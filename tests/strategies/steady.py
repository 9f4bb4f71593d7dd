"""Three steps that take the time that they are told to."""

import time

from pydantic import BaseModel, Field

from shared.workflow import Context, Workflow


class Parameters(BaseModel):
    """How long each step takes."""

    seconds: float = Field(0.1, ge=0)


workflow = Workflow("steady", title="Three steps of equal length", parameters=Parameters)


@workflow.step
def first(ctx: Context[Parameters]) -> int:
    """Take the time, and return the attempt."""
    time.sleep(ctx.parameters.seconds)
    return ctx.attempt


@workflow.step
def second(ctx: Context[Parameters], first: int) -> int:
    """Take the time, and return the attempt."""
    time.sleep(ctx.parameters.seconds)
    return ctx.attempt


@workflow.step
def third(ctx: Context[Parameters], second: int) -> int:
    """Take the time, and return the attempt."""
    time.sleep(ctx.parameters.seconds)
    return ctx.attempt
