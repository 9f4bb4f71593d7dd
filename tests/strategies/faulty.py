"""A run that fails in the ways that a test asks for."""

from typing import Literal

from pydantic import BaseModel, Field

from shared.workflow import Context, TemporaryError, Workflow


class Parameters(BaseModel):
    """How to fail: for `failures` attempts, with an error that a retry may or may not help."""

    kind: Literal["temporary", "permanent"]
    failures: int = Field(1, ge=0)


workflow = Workflow("faulty", title="Fails as asked", parameters=Parameters)


@workflow.step
def before(ctx: Context[Parameters]) -> int:
    """Return the attempt in which this step ran: it must never run in a second one."""
    return ctx.attempt


@workflow.step
def fail(ctx: Context[Parameters], before: int) -> list[int]:
    """Fail in the first attempts, then tell in which attempts the two steps ran."""
    if ctx.attempt <= ctx.parameters.failures:
        if ctx.parameters.kind == "temporary":
            raise TemporaryError(f"attempt {ctx.attempt} is too early")
        raise ValueError("this can never work")
    return [before, ctx.attempt]
