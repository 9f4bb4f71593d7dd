"""Deciding about one schedule: on the fold of its own events, and again when it moves on meanwhile."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.conditions import iso
from services.gateway.credentials import Caller, NotYourSchedule, Role
from shared.domain.errors import NotFound
from shared.domain.events import Stamp
from shared.domain.schedule import Schedule
from shared.log.async_event_log import AsyncEventLog

Command = Callable[[Schedule, Stamp], Awaitable[None]]


class ScheduleDecisions:
    """Reads a schedule, lets a command decide, and appends what it decides, in the name of a caller who may."""

    def __init__(self, log: AsyncEventLog, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now

    async def decide(self, caller: Caller, schedule_id: UUID, command: Command) -> Schedule:
        """Return the schedule after `command`, which is durable then.

        Raises what `own` and the command raise, Unavailable, and VersionConflict when too many decide at once.
        """

        async def attempt() -> Schedule:
            schedule = await self.own(caller, schedule_id)
            await command(schedule, self.stamp(caller))
            if events := schedule.collect_events():
                await self._log.append(events)
            return schedule

        return await until_agreed(attempt)

    async def own(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Return a schedule that the caller may change: its owner, and admins. Raises NotYourSchedule and NotFound."""
        schedule = await self.existing(schedule_id)
        owner = schedule.state.user_id
        if owner != caller.user_id and not caller.role.covers(Role.ADMIN):
            raise NotYourSchedule(f"Schedule {schedule_id} belongs to {owner}: only they and admins may change it.")
        return schedule

    async def existing(self, schedule_id: UUID) -> Schedule:
        """Return a schedule as the log has it. Raises NotFound, also for one that is deleted."""
        schedule = await self._log.schedule(schedule_id)
        if (deleted_at := schedule.state.deleted_at) is not None:
            raise NotFound(
                "schedule",
                f"Schedule {schedule_id} was deleted at {iso(deleted_at)}; its tasks are listed by "
                f"GET /api/tasks?schedule_id={schedule_id}.",
            )
        return schedule

    def stamp(self, caller: Caller) -> Stamp:
        """Return who decides now."""
        return stamp_of(caller, self._now())
