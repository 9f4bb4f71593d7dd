"""What can happen to a schedule. The schedule id is the stream's id; a firing's run is submitted in the same append."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from shared.domain.events import EVENTS, Event
from shared.domain.priority import Priority
from shared.domain.timing import Timing, When


class Overlap(StrEnum):
    """What becomes of a firing while an earlier run of the schedule has not ended (docs/schedules.md, "Overlap").

    The words are Temporal's, and mean the same.
    """

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    ALLOW_ALL = "allow_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"


class FiringKind(StrEnum):
    """Why a schedule fires: by its own times, because somebody asked for it now, or for times that are past."""

    SCHEDULE = "schedule"
    TRIGGER = "trigger"
    BACKFILL = "backfill"


class SkipReason(StrEnum):
    """Why a firing has no run."""

    OVERLAP = "overlap"
    BUFFER_FULL = "buffer_full"
    NO_STRATEGY = "strategy_not_found"


class ScheduleDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """All that its owner may change: what runs, when, and what to do about overlaps and outages.

    A due time that is later than `catchup_seconds` is missed. `jitter_seconds` spreads due times, the same way for the
    same time. Of its own times at most `max_runs` give a run. What is None is the strategy's own choice when it fires.
    """

    name: str
    strategy_id: str
    symbols: tuple[str, ...]
    when: When
    parameters: dict[str, Any] = {}
    priority: Priority = Priority.NORMAL
    labels: dict[str, str] = {}
    max_retries: int | None = None
    timeout_seconds: float | None = None
    result_ttl_seconds: float | None = None
    timezone: str = "UTC"
    calendar: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    overlap: Overlap = Overlap.SKIP
    catchup_seconds: float = 300.0
    jitter_seconds: float = 0.0
    max_runs: int | None = None
    pause_on_failure: bool = False

    @property
    def timing(self) -> Timing:
        """Return what decides about its times."""
        return Timing(
            when=self.when,
            timezone=self.timezone,
            calendar=self.calendar,
            start_at=self.start_at,
            end_at=self.end_at,
        )


class ScheduleEvent(Event, frozen=True, kw_only=True):
    """Base of the facts about a schedule."""


@EVENTS.add
class ScheduleCreated(ScheduleEvent, frozen=True, kw_only=True):
    """A user wrote a schedule; its runs are theirs."""

    TOPIC: ClassVar[str] = "schedule.created"

    definition: ScheduleDefinition
    user_id: str
    enabled: bool = True
    request_hash: str | None = None


@EVENTS.add
class ScheduleChanged(ScheduleEvent, frozen=True, kw_only=True):
    """It was given another definition; if that changes its times, those before this moment are settled."""

    TOPIC: ClassVar[str] = "schedule.changed"

    definition: ScheduleDefinition


@EVENTS.add
class ScheduleEnabled(ScheduleEvent, frozen=True, kw_only=True):
    """It fires from here on; the times before, while it was disabled, are never caught up."""

    TOPIC: ClassVar[str] = "schedule.enabled"


@EVENTS.add
class ScheduleDisabled(ScheduleEvent, frozen=True, kw_only=True):
    """It does not fire by its own times any more; `ended` as in a firing."""

    TOPIC: ClassVar[str] = "schedule.disabled"

    reason: str | None = None
    ended: tuple[UUID, ...] = ()


@EVENTS.add
class ScheduleDeleted(ScheduleEvent, frozen=True, kw_only=True):
    """It never fires again; its record and its runs stay."""

    TOPIC: ClassVar[str] = "schedule.deleted"


class FiringEvent(ScheduleEvent, frozen=True, kw_only=True):
    """Base of what became of one time: nominal, in UTC.

    `request_id` is that of a trigger or backfill. `ended` are runs of the schedule that were found to have ended since
    the decision before; those that are not named yet count as running.
    """

    nominal_at: datetime
    kind: FiringKind = FiringKind.SCHEDULE
    request_id: UUID | None = None
    ended: tuple[UUID, ...] = ()


@EVENTS.add
class ScheduleFired(FiringEvent, frozen=True, kw_only=True):
    """A run was submitted. With `terminates` these runs are ended by force."""

    TOPIC: ClassVar[str] = "schedule.fired"

    task_id: UUID
    terminates: tuple[UUID, ...] = ()


@EVENTS.add
class ScheduleBuffered(FiringEvent, frozen=True, kw_only=True):
    """A run was submitted that is held until the ones before it have ended. With `cancels` these are asked to."""

    TOPIC: ClassVar[str] = "schedule.buffered"

    task_id: UUID
    cancels: tuple[UUID, ...] = ()


@EVENTS.add
class ScheduleSkipped(FiringEvent, frozen=True, kw_only=True):
    """There is no run for this time, and why; with an overlap `running` is the run that was in the way."""

    TOPIC: ClassVar[str] = "schedule.skipped"

    reason: SkipReason
    running: UUID | None = None


@EVENTS.add
class ScheduleMissed(ScheduleEvent, frozen=True, kw_only=True):
    """So many times, from the first to the last, were found later than the catch-up allows, and never run."""

    TOPIC: ClassVar[str] = "schedule.missed"

    first_at: datetime
    last_at: datetime
    count: int


@EVENTS.add
class BufferReleased(ScheduleEvent, frozen=True, kw_only=True):
    """A held run was let go, in the append that releases it."""

    TOPIC: ClassVar[str] = "schedule.released"

    task_id: UUID
    ended: tuple[UUID, ...] = ()


@EVENTS.add
class RunReturned(ScheduleEvent, frozen=True, kw_only=True):
    """A run of the schedule that had ended goes on by somebody's request, and counts as running again."""

    TOPIC: ClassVar[str] = "schedule.run_returned"

    task_id: UUID


@EVENTS.add
class BackfillRequested(ScheduleEvent, frozen=True, kw_only=True):
    """Somebody asked for the times from `start` to `end`, both included, `count` of them, under an overlap policy."""

    TOPIC: ClassVar[str] = "schedule.backfill_requested"

    backfill_id: UUID
    start: datetime
    end: datetime
    overlap: Overlap
    count: int


@EVENTS.add
class BackfillFinished(ScheduleEvent, frozen=True, kw_only=True):
    """Every time of a backfill is settled."""

    TOPIC: ClassVar[str] = "schedule.backfill_finished"

    backfill_id: UUID


@EVENTS.add
class BackfillAccepted(Event, frozen=True, kw_only=True):
    """First in a stream of the backfill's own id, so that a request that is sent twice is accepted once."""

    TOPIC: ClassVar[str] = "backfill.accepted"

    schedule_id: UUID
    count: int
    request_hash: str | None = None
