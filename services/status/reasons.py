"""Why a task is not running, in a sentence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.status.queries import COUNT_LIMIT, Ahead
from shared.domain.catalogue import StepDescription
from shared.domain.priority import Priority
from shared.domain.queue import Pause
from shared.domain.schedule_state import ScheduleState
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


def no_worker_reason(priority: Priority, queue: str, *, since: datetime | None) -> str:
    """Return that no living worker serves the queue in which a task waits, since when, and what to do."""
    waiting = f", waiting since {since:%Y-%m-%dT%H:%M:%SZ}" if since else ""
    return (
        f"no worker takes {priority}-priority tasks now{waiting}: start one (`blotter up` does), or name the queue "
        f"{queue} in BLOTTER_WORKER_QUEUES of one that runs"
    )


def held_reason(state: ScheduleState, task_id: UUID) -> str | None:
    """Return which runs of its schedule a held task waits for; None when none is known to be before it.

    All that run are before it, whenever they began, and those that were held earlier.
    """
    held = [run.task_id for run in state.held]
    before = [run.task_id for run in state.runs.values() if not run.held]
    before += held[: held.index(task_id)] if task_id in held else []
    if not before:
        return None
    if len(before) == 1:
        return f"its schedule holds it until the run before it, task {before[0]}, has ended"
    return f"its schedule holds it until the {len(before):,} runs before it have ended, first task {before[0]}"


def limit_reason(full: Mapping[str, int]) -> str | None:
    """Return for a place under which limits a task waits, of which all places are taken; None for none."""
    listed = " and ".join(f"{key} (at most {most:,} at once)" for key, most in sorted(full.items()))
    return f"waiting for a place under the limit of {listed}" if listed else None


def paused_reason(level: Priority, pause: Pause) -> str:
    """Return that a task waits for its queue to be resumed, by whom it was paused, since when and why."""
    why = f" ({pause.reason})" if pause.reason else ""
    return f"queue {level} is paused by {pause.by} since {pause.at:%Y-%m-%dT%H:%M:%SZ}{why}"


_UNLESS = "a step must not be cut short, or was too often"


def busy_reason(slots: int, *, lower: int) -> str:
    """Return by whom all slots of the workers are taken, for a task that is the next one; `lower` are to make way."""
    taken = f"waiting for a free worker: all {slots:,} are taken" if slots > 1 else "waiting for the worker to be free"
    match lower:
        case 0:
            return f"{taken} by tasks of its own level or a higher one" if slots > 1 else taken
        case 1:
            return f"{taken}; a task of a lower level makes way unless {_UNLESS}"
        case _:
            return f"{taken}; {lower:,} tasks of lower levels make way unless {_UNLESS}"
