"""From a request to a durable `Submitted`: checked first, appended once, whatever is sent twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.gateway.agreement import stamp_of
from services.gateway.bodies import BatchRequest, TaskRequest
from services.gateway.catalogue import Catalogue, Snapshot, Strategy
from services.gateway.credentials import Caller
from services.gateway.idempotency import PERHAPS_ANSWERED, IdempotencyKeys, request_hash
from services.gateway.json_values import json_errors
from services.gateway.problems import invalid_input
from services.gateway.recent_writes import RecentWrites
from shared.domain.errors import BlotterError
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.submitting import plan
from shared.log.async_event_log import AsyncEventLog
from shared.telemetry import note_tasks, span

Begin = Callable[[WorkflowExecution, Stamp], None]
"""Decides with what a new run begins, or refuses it."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The tasks of a request; `again` when an earlier request of the same key and body has made them."""

    executions: Sequence[WorkflowExecution]
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class _Submission:
    """A request on its way; `prefixes` name its tasks in errors (`tasks.3.`), `request_hash` goes with a key only.

    A task that repeats another one has a parent, is about the time that a schedule fired that one for, if one did, and
    may begin with what it has made.
    """

    caller: Caller
    requests: Sequence[TaskRequest]
    prefixes: Sequence[str]
    key: str | None
    request_hash: str | None
    parent_task_id: str | None = None
    scheduled_at: datetime | None = None
    begin: Begin | None = None


class Submissions:
    """Appends `Submitted` for what passes every check.

    A repeated Idempotency-Key gives the same task ids, and the log's rule of one event for a version tells that they
    are taken. The first event holds the body's hash.
    """

    def __init__(
        self,
        log: AsyncEventLog,
        catalogue: Catalogue,
        writes: RecentWrites,
        *,
        keys: IdempotencyKeys,
        result_ttl_seconds: float,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._catalogue = catalogue
        self._writes = writes
        self._keys = keys
        self._result_ttl_seconds = result_ttl_seconds
        self._now = now

    async def submit(self, caller: Caller, request: TaskRequest, key: str | None) -> Accepted:
        """Record one task. Raises InvalidInput, NotFound, KeyReused or Unavailable."""
        return await self._submit(_submission(caller, "task", request, [request], [""], key))

    async def submit_batch(self, caller: Caller, batch: BatchRequest, key: str | None) -> Accepted:
        """Record all tasks of a batch in one transaction, or none. Raises what `submit` raises."""
        prefixes = [f"tasks.{index}." for index in range(len(batch.tasks))]
        return await self._submit(_submission(caller, "batch", batch, batch.tasks, prefixes, key))

    async def submit_again(
        self,
        caller: Caller,
        parent: WorkflowExecution,
        request: TaskRequest,
        body: BaseModel,
        key: str | None,
        *,
        begin: Begin | None,
    ) -> Accepted:
        """Record one task that repeats `parent`; raises what `submit` and `begin` raise."""
        again = _submission(caller, f"rerun {parent.id}", body, [request], [""], key)
        scheduled_at = parent.submitted.scheduled_at
        repeated = replace(again, parent_task_id=str(parent.id), scheduled_at=scheduled_at, begin=begin)
        return await self._submit(repeated)

    async def _submit(self, submission: _Submission) -> Accepted:
        task_ids = self._keys.ids(submission.caller, submission.key, len(submission.requests))
        try:
            with span("execution.submit"):
                executions = self._decide(submission, task_ids)
                await self._log.append([event for execution in executions for event in execution.collect_events()])
                note_tasks(task_ids)
        except PERHAPS_ANSWERED as error:
            return await self._first_answer(task_ids, submission, error)
        note_tasks(task_ids)
        for execution in executions:
            self._writes.note(execution.id, execution.events)
        return Accepted(executions=executions)

    def _decide(self, submission: _Submission, task_ids: Sequence[UUID]) -> list[WorkflowExecution]:
        catalogue = self._catalogue.require()
        user_id = submission.caller.user_id
        stamp = stamp_of(submission.caller, self._now())
        executions = [
            WorkflowExecution.submit(
                task_id,
                stamp,
                user_id=user_id,
                request_hash=submission.request_hash,
                parent_task_id=submission.parent_task_id,
                scheduled_at=submission.scheduled_at,
                **plan(
                    request,
                    _strategy(request, catalogue).description,
                    result_ttl_seconds=self._result_ttl_seconds,
                ),
            )
            for task_id, request in zip(task_ids, submission.requests, strict=True)
        ]
        if submission.begin is not None:
            for execution in executions:
                submission.begin(execution, stamp)
        errors = [
            error
            for prefix, request in zip(submission.prefixes, submission.requests, strict=True)
            for error in _strategy(request, catalogue).check.errors(request.parameters, f"{prefix}parameters")
        ]
        if errors:
            raise invalid_input(errors)
        return executions

    async def _first_answer(self, task_ids: Sequence[UUID], submission: _Submission, error: BlotterError) -> Accepted:
        """Return the tasks that the key stands for already; raises KeyReused, or `error` if there are none.

        Those of a batch were appended together, so that the first one speaks for all.
        """
        await self._keys.first(task_ids[0], submission.request_hash, error)
        return Accepted(executions=[await self._log.execution(task_id) for task_id in task_ids], again=True)


def _submission(
    caller: Caller,
    kind: str,
    body: BaseModel,
    requests: Sequence[TaskRequest],
    prefixes: Sequence[str],
    key: str | None,
) -> _Submission:
    """Return a submission whose JSON is fit to be kept, and hashed; raises InvalidInput."""
    unusable = [
        error
        for prefix, request in zip(prefixes, requests, strict=True)
        for error in json_errors(request.parameters, f"{prefix}parameters")
    ]
    if unusable:
        raise invalid_input(unusable)
    return _Submission(
        caller=caller, requests=requests, prefixes=prefixes, key=key, request_hash=request_hash(kind, body, key)
    )


def _strategy(request: TaskRequest, catalogue: Snapshot) -> Strategy:
    return catalogue.strategy(request.strategy_id)
