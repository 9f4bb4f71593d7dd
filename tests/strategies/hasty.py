"""A step with a time of its own, which takes too long in its first attempts."""

import time
from datetime import timedelta

from pydantic import BaseModel

from shared.workflow import Context, Workflow


class Parameters(BaseModel):
    """How many attempts take too long."""

    slow_attempts: int


workflow = Workflow(
    "hasty",
    title="A step with a timeout",
    parameters=Parameters,
    max_retries=1,
    first_retry_delay=timedelta(milliseconds=50),
)


@workflow.step(timeout=timedelta(milliseconds=300))
def answer(ctx: Context[Parameters]) -> int:
    """Sleep for an hour, or answer at once."""
    if ctx.attempt <= ctx.parameters.slow_attempts:
        time.sleep(3600)
    return 42
