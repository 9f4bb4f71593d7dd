"""Schedules are written, changed, enabled, disabled and deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from services.gateway.credentials import Caller
from services.gateway.idempotency import PERHAPS_ANSWERED, IdempotencyKeys, request_hash
from services.gateway.schedule_bodies import ScheduleChange, ScheduleRequest
from services.gateway.schedule_checks import ScheduleChecks
from services.gateway.schedule_decisions import ScheduleDecisions
from shared.domain.events import Stamp
from shared.domain.schedule import Schedule
from shared.log.async_event_log import AsyncEventLog


@dataclass(frozen=True, kw_only=True)
class Creation:
    """A schedule; `again` when an earlier request of the same key and body has made it."""

    schedule: Schedule
    again: bool = False


class Schedules:
    """Appends to a schedule's stream what its owner decides; the scheduler follows the log, and obeys."""

    def __init__(
        self, log: AsyncEventLog, checks: ScheduleChecks, decisions: ScheduleDecisions, keys: IdempotencyKeys
    ) -> None:
        self._log = log
        self._checks = checks
        self._decisions = decisions
        self._keys = keys

    async def create(self, caller: Caller, body: ScheduleRequest, key: str | None) -> Creation:
        """Record a schedule. Raises InvalidInput, NotFound, KeyReused or Unavailable."""
        (schedule_id,) = self._keys.ids(caller, key)
        digest = request_hash("schedule", body, key)
        try:
            stamp = self._decisions.stamp(caller)
            await self._checks.check(body.definition, now=stamp.at)
            schedule = Schedule.create(
                schedule_id,
                stamp,
                definition=body.definition,
                user_id=caller.user_id,
                enabled=body.enabled,
                request_hash=digest,
            )
            await self._log.append(schedule.collect_events())
        except PERHAPS_ANSWERED as error:
            await self._keys.first(schedule_id, digest, error)
            return Creation(schedule=await self._log.schedule(schedule_id), again=True)
        return Creation(schedule=schedule)

    async def change(self, caller: Caller, schedule_id: UUID, body: ScheduleChange) -> Schedule:
        """Give a schedule another definition, or let it fire or not; what it is meanwhile changed to stays.

        Raises what `create` raises for the fields that differ, and what `ScheduleDecisions.decide` raises.
        """

        async def command(schedule: Schedule, stamp: Stamp) -> None:
            definition = body.applied_to(schedule.state.definition)
            await self._checks.check(definition, now=stamp.at, before=schedule.state.definition)
            schedule.change(stamp, definition)
            match body.enables:
                case True:
                    schedule.enable(stamp)
                case False:
                    schedule.disable(stamp)

        return await self._decisions.decide(caller, schedule_id, command)

    async def enable(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Let a schedule fire from now on. Raises what `ScheduleDecisions.decide` raises."""
        return await self._decide(caller, schedule_id, Schedule.enable)

    async def disable(self, caller: Caller, schedule_id: UUID, reason: str | None) -> Schedule:
        """Keep a schedule from firing by its own times. Raises what `ScheduleDecisions.decide` raises."""
        return await self._decide(
            caller, schedule_id, lambda schedule, stamp: schedule.disable(stamp, reason=reason or None)
        )

    async def delete(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Let a schedule never fire again. Raises what `ScheduleDecisions.decide` raises."""
        return await self._decide(caller, schedule_id, Schedule.delete)

    async def _decide(self, caller: Caller, schedule_id: UUID, decision: Callable[[Schedule, Stamp], None]) -> Schedule:
        async def command(schedule: Schedule, stamp: Stamp) -> None:
            decision(schedule, stamp)

        return await self._decisions.decide(caller, schedule_id, command)
