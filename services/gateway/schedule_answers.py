"""The documents about schedules, for the OpenAPI document: what is sent is made by `schedule_documents`.

A test holds these fields and those of the fold together.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.gateway.answers import Acceptance
from services.gateway.schedule_bodies import WhenBody
from shared.domain.phases import CeleryState, Status
from shared.domain.priority import Priority
from shared.domain.schedule_events import FiringKind, Overlap


class Counters(BaseModel):
    """What has become of its times."""

    fired: int
    skipped_overlap: int
    skipped_otherwise: int
    missed_catchup: int
    buffered: int


class OpenBackfill(BaseModel):
    """Past times that are being worked through; those up to `settled_until` are done with."""

    backfill_id: UUID
    start: datetime
    end: datetime
    overlap: Overlap
    settled_until: datetime | None


class ScheduleAnswer(BaseModel):
    """A schedule. `next_fire_at` is a time of its own, before jitter; `running` and `held` are its runs, as of its last
    decision."""

    schedule_id: UUID
    name: str
    strategy_id: str
    symbols: list[str]
    when: WhenBody
    parameters: dict[str, Any]
    priority: Priority
    labels: dict[str, str]
    max_retries: int | None
    timeout_seconds: float | None
    result_ttl_seconds: float | None
    timezone: str
    calendar: str | None
    start_at: datetime | None
    end_at: datetime | None
    overlap: Overlap
    catchup_seconds: float
    jitter_seconds: float
    max_runs: int | None
    pause_on_failure: bool
    enabled: bool
    disabled_reason: str | None
    user_id: str
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None
    next_fire_at: datetime | None
    last_fired_at: datetime | None
    last_nominal_at: datetime | None
    last_task_id: UUID | None
    counters: Counters
    running: list[UUID]
    held: list[UUID]
    backfills: list[OpenBackfill]
    version: int


class SchedulePage(BaseModel):
    """Schedules, newest first."""

    items: list[ScheduleAnswer]
    next_cursor: str | None


class TriggerAnswer(Acceptance):
    """A run that is durably recorded; one that is `held` waits until the runs before it have ended."""

    held: bool


class BackfillAnswer(BaseModel):
    """So many past times are to fire."""

    backfill_id: UUID
    schedule_id: UUID
    start: datetime
    end: datetime
    overlap: Overlap
    count: int


class OccurrenceAnswer(BaseModel):
    """A time to come: in UTC, in the schedule's zone, and when it fires with jitter, null where it has no id yet."""

    at: datetime
    local: datetime
    due_at: datetime | None


class PreviewAnswer(BaseModel):
    """The first times that a schedule would have."""

    items: list[OccurrenceAnswer]
    timezone: str


class UpcomingAnswer(PreviewAnswer):
    """The next times of a schedule, or the reason for which there are none."""

    reason: str | None


class HistoryEntry(BaseModel):
    """Something that happened to a schedule; what does not apply is null.

    `nominal_at` is the time that was settled, of several the first, and `last_at` the last of them. The state is that
    of the run as it is now.
    """

    position: int
    at: datetime
    type: str
    kind: FiringKind | None
    nominal_at: datetime | None
    last_at: datetime | None
    request_id: UUID | None
    task_id: UUID | None
    reason: str | None
    running_task_id: UUID | None
    count: int | None
    actor: str
    task_state: CeleryState | None
    task_status: Status | None


class HistoryPage(BaseModel):
    """What happened to a schedule, newest first."""

    items: list[HistoryEntry]
    next_cursor: str | None
