"""A run as the log has it: its own stream, and those of its branches, in one order."""

from collections.abc import Iterable, Sequence
from heapq import merge
from typing import NamedTuple
from uuid import UUID

from shared.domain.branch import branch_id
from shared.domain.branch_events import BranchEvent
from shared.domain.deciding import guarded_version
from shared.domain.errors import Archived, NotFound
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import StageOpened
from shared.log.recorder import Guard


class Recorded(NamedTuple):
    """An event and its position, the number that orders all events of the log."""

    position: int
    event: Event


def run_of(event: Event) -> UUID:
    """Return the task that an event tells of."""
    return event.task_id if isinstance(event, BranchEvent) else event.originator_id


def branch_streams(stream: Iterable[Recorded]) -> list[UUID]:
    """Return the streams of all branches that a run's own stream has opened."""
    return [
        branch_id(event.originator_id, event.opening, member.step, member.symbol)
        for _, event in stream
        if isinstance(event, StageOpened)
        for member in event.members
    ]


def in_order(*streams: Sequence[Recorded]) -> Iterable[Recorded]:
    """Return the events of several streams, each of them in order, in the order of the log."""
    return merge(*streams, key=lambda recorded: recorded.position)


def folded(task_id: UUID, *streams: Sequence[Recorded]) -> WorkflowExecution:
    """Return the run that its own stream and those of its branches tell of. Raises NotFound."""
    execution = fold(None, (recorded.event for recorded in in_order(*streams)))
    if execution is None:
        raise task_not_found(task_id)
    return execution


def guard_of(execution: WorkflowExecution, events: Sequence[Event]) -> Guard | None:
    """Return what `events`, decided on `execution`, need to be appended safely."""
    version = guarded_version(execution, events)
    return None if version is None else Guard(execution.id, version)


def archived(task_id: UUID) -> Archived:
    """Return the error for a task that is to go on although its history is in an archive."""
    return Archived(
        f"Task {task_id} ended long ago: its history is in an archive, and nothing is added to it any more. Run it "
        f"once more as a new task: POST /api/tasks/{task_id}/rerun."
    )


def task_not_found(task_id: UUID | str) -> NotFound:
    """Return the error for a task that the log does not know."""
    return NotFound("task", f"There is no task {task_id}; check the id, or list tasks with GET /api/tasks.")
