"""Past times of a schedule that are to fire after all."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from services.gateway.agreement import until_agreed
from services.gateway.conditions import iso
from services.gateway.credentials import Caller
from services.gateway.idempotency import PERHAPS_ANSWERED, IdempotencyKeys, request_hash
from services.gateway.problems import invalid_input
from services.gateway.schedule_bodies import BackfillRequest
from services.gateway.schedule_checks import ScheduleChecks
from services.gateway.schedule_decisions import ScheduleDecisions
from shared.domain.deciding import metadata
from shared.domain.errors import FieldError
from shared.domain.schedule_events import BackfillAccepted
from shared.domain.timing import Timing
from shared.log.async_event_log import AsyncEventLog
from shared.schedules import times_of

MOST_TIMES = 1000


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A backfill of `count` times; `again` when an earlier request of the same key and body has asked for it."""

    backfill_id: UUID
    schedule_id: UUID
    body: BackfillRequest
    count: int
    again: bool = False


class Backfills:
    """Appends what is asked for; the scheduler fires the times, one after the other."""

    def __init__(
        self, log: AsyncEventLog, checks: ScheduleChecks, decisions: ScheduleDecisions, keys: IdempotencyKeys
    ) -> None:
        self._log = log
        self._checks = checks
        self._decisions = decisions
        self._keys = keys

    async def accept(self, caller: Caller, schedule_id: UUID, body: BackfillRequest, key: str | None) -> Acceptance:
        """Have the past times of a range fire, whether the schedule is enabled or not.

        Raises InvalidInput for a range with no times, too many of them, or of the future, KeyReused, what
        `ScheduleChecks.strategy` and `ScheduleDecisions.own` raise, and Unavailable.
        """
        (backfill_id,) = self._keys.ids(caller, key)
        digest = request_hash(f"backfill {schedule_id}", body, key)

        async def attempt() -> Acceptance:
            try:
                count, again = await self._request(caller, schedule_id, body, backfill_id, digest), False
            except PERHAPS_ANSWERED as error:
                first = await self._keys.first(backfill_id, digest, error)
                assert isinstance(first, BackfillAccepted)
                count, again = first.count, True
            return Acceptance(backfill_id=backfill_id, schedule_id=schedule_id, body=body, count=count, again=again)

        return await until_agreed(attempt)

    async def _request(
        self, caller: Caller, schedule_id: UUID, body: BackfillRequest, backfill_id: UUID, digest: str | None
    ) -> int:
        schedule, stamp = await self._decisions.own(caller, schedule_id), self._decisions.stamp(caller)
        definition = schedule.state.definition
        _require_range(body, now=stamp.at)
        self._checks.strategy(definition)
        count = await asyncio.to_thread(counted, definition.timing, body.start, body.end)
        schedule.request_backfill(
            stamp, backfill_id=backfill_id, start=body.start, end=body.end, overlap=body.overlap, count=count
        )
        accepted = BackfillAccepted(
            originator_id=backfill_id,
            originator_version=1,
            **metadata(stamp),
            schedule_id=schedule_id,
            count=count,
            request_hash=digest,
        )
        await self._log.append([*schedule.collect_events(), accepted])
        return count


def counted(timing: Timing, start: datetime, end: datetime) -> int:
    """Return how many times lie from `start` to `end`, both included. Raises InvalidInput unless there are 1 to
    `MOST_TIMES`."""
    count = sum(1 for _ in islice(times_of(timing).between(start, end), MOST_TIMES + 1))
    if count > MOST_TIMES:
        raise invalid_input([FieldError("end", f"leaves more than {MOST_TIMES} times: choose a shorter range")])
    if count == 0:
        raise invalid_input([FieldError("end", "leaves no time of the schedule: choose a range in which it has some")])
    return count


def _require_range(body: BackfillRequest, *, now: datetime) -> None:
    if body.start >= body.end:
        raise invalid_input([FieldError("end", "must be later than start")])
    if body.end > now:
        raise invalid_input([FieldError("end", f"lies in the future: here it is {iso(now)}; give an earlier time")])
