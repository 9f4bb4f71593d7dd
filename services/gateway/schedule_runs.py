"""Which runs of a schedule have ended, by the log: the schedule itself hears of it with its next decision only."""

from uuid import UUID

from shared.domain.events import Event
from shared.domain.execution_events import Cancelled, Failed, Restarted, Succeeded
from shared.domain.schedule_state import ScheduleState
from shared.log.async_event_log import AsyncEventLog

ENDS = (Succeeded, Failed, Cancelled)
"""The events after which a run is not in the way any more."""


async def ended_runs(log: AsyncEventLog, state: ScheduleState) -> dict[UUID, Event]:
    """Return the runs of a schedule that have ended, each with its last event. Raises Unavailable."""
    if not state.runs:
        return {}
    newest = await log.newest_of(list(state.runs), [event.TOPIC for event in (*ENDS, Restarted)])
    return {event.originator_id: event for event in newest if isinstance(event, ENDS)}
