"""When a schedule would fire, before it is written."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.gateway.schedule_bodies import ScheduleRequest
from services.gateway.schedule_checks import ScheduleChecks
from services.gateway.schedule_documents import Occurrence, following, occurrences_document
from shared.domain.schedule_events import ScheduleDefinition
from shared.schedules import times_of

MOST_SHOWN = 10


class Previews:
    """Checks what a creation checks, and records nothing."""

    def __init__(self, checks: ScheduleChecks, *, now: Callable[[], datetime]) -> None:
        self._checks = checks
        self._now = now

    async def preview(self, body: ScheduleRequest) -> dict[str, Any]:
        """Return the first times of a schedule, were it enabled. Raises what `Schedules.create` raises without a key.

        With jitter it is not known when they fire: that depends on the id of the schedule.
        """
        now = self._now()
        await self._checks.check(body.definition, now=now)
        return await asyncio.to_thread(_first_times, body.definition, now)


def _first_times(definition: ScheduleDefinition, now: datetime) -> dict[str, Any]:
    most = MOST_SHOWN if definition.max_runs is None else min(MOST_SHOWN, definition.max_runs)
    occurrences = [
        Occurrence(moment, None if definition.jitter_seconds else moment)
        for moment in following(times_of(definition.timing), now, most)
    ]
    return occurrences_document(occurrences, definition.timezone)
