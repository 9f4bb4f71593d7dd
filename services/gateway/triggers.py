"""Schedules that fire now because somebody asks for it."""

from dataclasses import dataclass
from uuid import UUID

from services.gateway.agreement import until_agreed
from services.gateway.credentials import Caller
from services.gateway.idempotency import PERHAPS_ANSWERED, IdempotencyKeys, request_hash
from services.gateway.recent_writes import RecentWrites
from services.gateway.schedule_bodies import TriggerRequest
from services.gateway.schedule_checks import ScheduleChecks
from services.gateway.schedule_decisions import ScheduleDecisions
from services.gateway.schedule_runs import ended_runs
from shared.domain.errors import ScheduleOverlap
from shared.domain.events import Event, Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Failed
from shared.domain.firing import Firing, Standing
from shared.domain.overlap import Drop, Hold
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, SkipReason
from shared.domain.schedule_state import ScheduleState
from shared.domain.submitting import plan
from shared.log.async_event_log import AsyncEventLog


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """A run of a schedule; `again` when an earlier request of the same key and body has made it."""

    execution: WorkflowExecution
    again: bool = False


class Triggers:
    """Appends what the scheduler appends for a time that is due: a firing, and its run, or nothing of both."""

    def __init__(
        self,
        log: AsyncEventLog,
        checks: ScheduleChecks,
        decisions: ScheduleDecisions,
        keys: IdempotencyKeys,
        writes: RecentWrites,
        *,
        result_ttl_seconds: float,
    ) -> None:
        self._log = log
        self._checks = checks
        self._decisions = decisions
        self._keys = keys
        self._writes = writes
        self._result_ttl_seconds = result_ttl_seconds

    async def trigger(self, caller: Caller, schedule_id: UUID, body: TriggerRequest, key: str | None) -> Triggered:
        """Fire a schedule once, whether it is enabled or not, under its overlap policy or that of the body.

        The run is its owner's. Raises ScheduleOverlap when there is to be none, and then nothing is recorded; also
        KeyReused, what `ScheduleChecks.strategy` and `ScheduleDecisions.own` raise, and Unavailable.
        """
        (task_id,) = self._keys.ids(caller, key)
        digest = request_hash(f"trigger {schedule_id}", body, key)

        async def attempt() -> Triggered:
            try:
                return Triggered(execution=await self._fire(caller, schedule_id, body, task_id, digest))
            except PERHAPS_ANSWERED as error:
                await self._keys.first(task_id, digest, error)
                return Triggered(execution=await self._log.execution(task_id), again=True)

        return await until_agreed(attempt)

    async def _fire(
        self, caller: Caller, schedule_id: UUID, body: TriggerRequest, task_id: UUID, digest: str | None
    ) -> WorkflowExecution:
        schedule, stamp = await self._decisions.own(caller, schedule_id), self._decisions.stamp(caller)
        definition = schedule.state.definition
        strategy = self._checks.strategy(definition)
        firing = await self._record(schedule, stamp, body, task_id)
        run = WorkflowExecution.submit(
            task_id,
            stamp,
            user_id=schedule.state.user_id,
            request_hash=digest,
            schedule_id=str(schedule_id),
            scheduled_at=firing.nominal_at,
            held=isinstance(firing.verdict, Hold),
            **plan(definition, strategy, result_ttl_seconds=self._result_ttl_seconds),
        )
        await self._log.append([*schedule.collect_events(), *run.collect_events()])
        self._writes.note(task_id, run.events)
        return run

    async def _record(self, schedule: Schedule, stamp: Stamp, body: TriggerRequest, task_id: UUID) -> Firing:
        state = schedule.state
        ended = await ended_runs(self._log, state)
        overlap = body.overlap or state.definition.overlap
        verdict = Standing(state, ended.keys()).decide(overlap, task_id, has_strategy=True)
        if isinstance(verdict, Drop):
            raise _overlap(state, verdict)
        firing = Firing(stamp.at, task_id, verdict, FiringKind.TRIGGER, task_id)
        schedule.record(stamp, firing, ended=_to_name(state, ended))
        return firing


def _to_name(state: ScheduleState, ended: dict[UUID, Event]) -> list[UUID]:
    """Return those of the ended runs that a firing may have its schedule forget: a failure that is to pause it is not
    one of them, before the scheduler has seen it."""
    pauses = state.enabled and state.definition.pause_on_failure
    return [task_id for task_id, event in ended.items() if not (pauses and isinstance(event, Failed))]


def _overlap(state: ScheduleState, verdict: Drop) -> ScheduleOverlap:
    allow = 'to run beside it all the same, send {"overlap": "allow_all"}.'
    if verdict.reason is SkipReason.BUFFER_FULL:
        return ScheduleOverlap(
            f"Schedule {state.id} holds as many runs as it may, up to task {verdict.running}: wait until some have "
            f"run, or cancel some; {allow}"
        )
    return ScheduleOverlap(
        f"Task {verdict.running} of schedule {state.id} has not ended, and the overlap policy allows no other one: "
        f"wait for its end, or cancel it; {allow}"
    )
