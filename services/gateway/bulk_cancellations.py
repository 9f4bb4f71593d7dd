"""Cancelling many tasks at once: the status service names candidates, their records in the log decide."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.gateway.conditions import TaskConditions
from services.gateway.credentials import Caller, NotYourTask, Role
from services.gateway.decisions import MOST_TRIES, Decisions
from services.gateway.recent_writes import RecentWrites
from services.gateway.selection import CancelRequest
from services.gateway.status_client import LiveTask, StatusClient
from shared.domain.errors import ProjectionBehind, Unavailable, VersionConflict
from shared.domain.events import Event, Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.log.async_event_log import AsyncEventLog

MOST_TASKS = 200
"""Tasks that are cancelled in one transaction. Nobody else appends for its 10 ms or so."""
MOST_EVENTS = 5_000
"""Events that are read for one transaction, but for a task that has more of its own."""
MOST_BEHIND = 50_000
"""Events that the projection may lack: the tasks that they are about are all looked at."""


@dataclass(kw_only=True)
class BulkCancellation:
    """What has come of the tasks that matched: cancelled, told to stop, or finished and left alone."""

    cancelled: list[UUID] = field(default_factory=list)
    cancelling: list[UUID] = field(default_factory=list)
    finished: int = 0

    @property
    def task_ids(self) -> list[UUID]:
        """Return all that have stopped or will."""
        return self.cancelled + self.cancelling

    def add(self, other: "BulkCancellation") -> None:
        """Take in what has come of some more."""
        self.cancelled += other.cancelled
        self.cancelling += other.cancelling
        self.finished += other.finished


@dataclass(frozen=True, kw_only=True)
class _Order:
    """Which tasks are to be cancelled, by whom and why."""

    conditions: TaskConditions
    stamp: Stamp
    reason: str | None


class BulkCancellations:
    """Finds the tasks that match, and cancels them in a few large transactions.

    The projection names candidates, and so does the part of the log that it does not hold yet: what was submitted
    before the request came is not missed. Their records decide. Sending it again goes on where it ended, and changes
    nothing else.
    """

    def __init__(self, log: AsyncEventLog, status: StatusClient, writes: RecentWrites, decisions: Decisions) -> None:
        self._log = log
        self._status = status
        self._writes = writes
        self._decisions = decisions

    async def cancel(self, caller: Caller, request: CancelRequest) -> BulkCancellation:
        """Cancel every task of the caller that matches, or anybody's for an admin; answers when it is durable.

        Raises NotYourTask, ProjectionBehind, Unavailable, and VersionConflict for a task that never stands still.
        """
        order = _Order(
            conditions=_own(caller, request.filter),
            stamp=self._decisions.stamp(caller),
            reason=request.reason or None,
        )
        done = BulkCancellation()
        try:
            await self._cancel(order, done)
        except ProjectionBehind:
            raise
        except Unavailable as error:
            so_far = len(done.task_ids)
            raise Unavailable(
                f"{so_far} tasks are cancelled so far; send it again for the others. {error.detail}"
            ) from error
        return done

    async def _cancel(self, order: _Order, done: BulkCancellation) -> None:
        head = await self._log.head()
        page = await self._status.live(order.conditions.parameters())
        behind = head - page.position
        if behind > MOST_BEHIND:
            raise ProjectionBehind(
                f"Nothing is cancelled: the tables that tell which tasks match are {behind:,} events behind. Send it "
                "again in a moment; GET /health/ready tells how far the projector is."
            )
        unprojected = await self._log.touched(page.position, head) if behind > 0 else []
        done.finished += page.finished or 0
        listed = {task.task_id for task in page.items}
        await self._decide_all(page.items, order, done)
        while page.next_cursor is not None:
            page = await self._status.live(order.conditions.parameters(), cursor=page.next_cursor)
            listed.update(task.task_id for task in page.items)
            await self._decide_all(page.items, order, done)
        known = done.finished
        await self._decide_all([LiveTask(task_id, 1) for task_id in unprojected if task_id not in listed], order, done)
        done.finished = known  # those of the log's end may have been counted by the tables

    async def _decide_all(self, tasks: Sequence[LiveTask], order: _Order, done: BulkCancellation) -> None:
        """Work through the groups in two lanes: one is read while another is written."""
        groups = _groups(tasks)

        async def lane() -> None:
            for group in groups:
                await self._decide(group, order, done)

        for outcome in await asyncio.gather(lane(), lane(), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _decide(
        self, group: Sequence[UUID], order: _Order, done: BulkCancellation, *, tries: int = MOST_TRIES
    ) -> None:
        """Cancel a group; if one of it has moved on, each half by itself, so that the others do not wait for it."""
        try:
            done.add(await self._try(group, order))
        except VersionConflict:
            if tries == 1:
                raise
            half = len(group) // 2
            for part in filter(None, (group[:half], group[half:])):
                await self._decide(part, order, done, tries=tries - (len(group) == 1))

    async def _try(self, group: Sequence[UUID], order: _Order) -> BulkCancellation:
        decided = BulkCancellation()
        changed: list[WorkflowExecution] = []
        events: list[Event] = []
        for execution in await self._log.executions(group):
            _decide(execution, order, decided)
            if happened := execution.collect_events():
                changed.append(execution)
                events += happened
        if events:
            await self._log.append(events)
        for execution in changed:
            self._writes.note(execution.id, execution.events)
        return decided


def _decide(execution: WorkflowExecution, order: _Order, decided: BulkCancellation) -> None:
    if not order.conditions.hold_for(execution):
        return
    if execution.phase.ended:
        decided.finished += 1
        return
    execution.request_cancel(order.stamp, reason=order.reason)
    ended = execution.phase is Phase.CANCELLED
    (decided.cancelled if ended else decided.cancelling).append(execution.id)


def _own(caller: Caller, wanted: TaskConditions) -> TaskConditions:
    """Return what is wanted of what the caller may cancel."""
    if caller.role.covers(Role.ADMIN):
        return wanted
    if wanted.user_id not in (None, caller.user_id):
        raise NotYourTask(f"Tasks of {wanted.user_id} are theirs: only they and admins may change them.")
    return wanted.model_copy(update={"user_id": caller.user_id})


def _groups(tasks: Sequence[LiveTask]) -> Iterator[list[UUID]]:
    """Yield the ids in groups that are read and written at once."""
    group: list[UUID] = []
    events = 0
    for task in tasks:
        if group and (len(group) == MOST_TASKS or events + task.version > MOST_EVENTS):
            yield group
            group, events = [], 0
        group.append(task.task_id)
        events += task.version
    if group:
        yield group
