"""Why a task is not running, in a sentence."""

from collections.abc import Sequence
from datetime import datetime

from services.status.queries import COUNT_LIMIT, Ahead
from shared.domain.catalogue import StepDescription
from shared.domain.views import StepView


def queued_reason(ahead: Sequence[Ahead]) -> str | None:
    """Return what a queued task waits behind; None when nothing is before it.

    Fairness among users may still let a later task of its own level pass.
    """
    parts = [_part(level) for level in ahead if level.number]
    if not parts:
        return None
    listed = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
    one = len(parts) == 1 and parts[0].startswith("1 ")
    return f"waiting behind {listed} {'task' if one else 'tasks'}"


def _part(ahead: Ahead) -> str:
    count = f"more than {COUNT_LIMIT:,}" if ahead.number > COUNT_LIMIT else f"{ahead.number:,}"
    return f"{count} {ahead.priority}-priority"


def retry_reason(
    step: StepView, plan: Sequence[StepDescription], *, max_retries: int, next_retry_at: datetime | None
) -> str:
    """Return which retry a task waits for and why; `next_retry_at` is None once it is due.

    A step that waits for retry number n has ended n times. A step's own maximum goes before the task's.
    """
    own = next((description.max_retries for description in plan if description.name == step.step), None)
    limit = max_retries if own is None else own
    after = f", after {step.error.type}" if step.error else ""
    if next_retry_at is None:
        return f"retry {step.attempts} of {limit} is due{after}; waiting for a free worker"
    return f"retry {step.attempts} of {limit} at {next_retry_at:%Y-%m-%dT%H:%M:%SZ}{after}"
