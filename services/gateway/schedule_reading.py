"""Answers about schedules: one from the log, which is never behind, lists of them from the status service."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.gateway.queries import PageQuery, ScheduleQuery
from services.gateway.schedule_decisions import ScheduleDecisions
from services.gateway.schedule_documents import schedule_document, upcoming_document
from services.gateway.schedule_runs import ended_runs
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable
from shared.domain.schedule import Schedule
from shared.domain.schedule_state import ScheduleState
from shared.log.async_event_log import AsyncEventLog

EMPTY_PAGE = msgspec.json.encode({"items": [], "next_cursor": None})


class ScheduleReading:
    """Reads schedules, and knows when they fire next."""

    def __init__(
        self, log: AsyncEventLog, decisions: ScheduleDecisions, status: StatusClient, *, now: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._decisions = decisions
        self._status = status
        self._now = now

    async def schedule(self, schedule_id: UUID) -> dict[str, Any]:
        """Return a schedule. Raises NotFound, also for one that is deleted, and Unavailable."""
        return await self.document(await self._decisions.existing(schedule_id))

    async def document(self, schedule: Schedule) -> dict[str, Any]:
        """Return a schedule as the log tells it, with the runs that have not ended. Raises Unavailable."""
        ended = await ended_runs(self._log, schedule.state)
        return await asyncio.to_thread(schedule_document, schedule.state, now=self._now(), ended=ended.keys())

    async def schedules(self, query: ScheduleQuery) -> dict[str, Any]:
        """Return a page of schedules, which only the status service can. Raises InvalidInput and Unavailable."""
        try:
            page = await self._status.schedules(query.parameters())
        except Unavailable as error:
            raise Unavailable(
                "Lists need the status service, which does not answer: try again in a moment. Everything under "
                "/api/schedules/{schedule_id} but its history works without it."
            ) from error
        items = await asyncio.to_thread(_documents, page.items, self._now())
        return {"items": items, "next_cursor": page.next_cursor}

    async def upcoming(self, schedule_id: UUID, most: int) -> dict[str, Any]:
        """Return the times to come of a schedule. Raises what `schedule` raises."""
        schedule = await self._decisions.existing(schedule_id)
        return await asyncio.to_thread(upcoming_document, schedule.state, most=most, now=self._now())

    async def history(self, schedule_id: UUID, page: PageQuery) -> bytes:
        """Return a page of what happened to a schedule, newest first. Raises what `schedules` and `schedule` raise.

        The status service may not have heard of it yet: then there is none.
        """
        await self._decisions.existing(schedule_id)
        try:
            history = await self._status.schedule_history(schedule_id, page.parameters())
        except Unavailable as error:
            raise Unavailable(
                "The history of schedules needs the status service, which does not answer: try again in a moment. "
                "GET /api/schedules/{schedule_id} works without it."
            ) from error
        return history or EMPTY_PAGE


def _documents(states: list[ScheduleState], now: datetime) -> list[dict[str, Any]]:
    return [schedule_document(state, now=now) for state in states]
