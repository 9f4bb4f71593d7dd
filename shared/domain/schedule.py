"""The schedule: what may happen to it, decided on the fold of its events. Guards stand in the commands, never in the
fold."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from shared.domain import schedule_events as happened
from shared.domain.deciding import metadata
from shared.domain.errors import ScheduleDeleted, TooManyBackfills
from shared.domain.events import Event, Stamp
from shared.domain.firing import Decision, Firing, Missed
from shared.domain.overlap import Drop, Hold, Start
from shared.domain.schedule_events import Overlap, ScheduleDefinition
from shared.domain.schedule_state import ScheduleState, apply, begun

MOST_BACKFILLS = 20
"""How many backfills of one schedule may be under way; they are worked through one after the other."""


class Schedule:
    """One schedule. Commands append what they decide to what `collect_events` returns; each but `delete` raises
    ScheduleDeleted for one that is deleted.
    """

    TOPIC: ClassVar[str] = "schedule"

    def __init__(self, state: ScheduleState) -> None:
        self.state = state
        self._pending: list[Event] = []

    @classmethod
    def create(
        cls,
        schedule_id: UUID,
        stamp: Stamp,
        *,
        definition: ScheduleDefinition,
        user_id: str,
        enabled: bool = True,
        request_hash: str | None = None,
    ) -> Self:
        """Start a stream."""
        event = happened.ScheduleCreated(
            originator_id=schedule_id,
            originator_version=1,
            **metadata(stamp),
            definition=definition,
            user_id=user_id,
            enabled=enabled,
            request_hash=request_hash,
        )
        schedule = cls(begun(event))
        schedule._pending.append(event)
        return schedule

    @classmethod
    def of(cls, event: happened.ScheduleCreated) -> Self:
        """Return the schedule that an event in the log created."""
        return cls(begun(event))

    @property
    def id(self) -> UUID:
        """Return the schedule id, which is also the stream's."""
        return self.state.id

    @property
    def version(self) -> int:
        """Return how many events it consists of."""
        return self.state.version

    def collect_events(self) -> Sequence[Event]:
        """Return what was decided since the last call, oldest first, and forget it."""
        pending, self._pending = self._pending, []
        return pending

    def apply(self, event: Event) -> None:
        """Take in an event from the log; one that is known already changes nothing."""
        apply(self.state, event)

    def change(self, stamp: Stamp, definition: ScheduleDefinition) -> None:
        """Give it another definition; the same one changes nothing."""
        if definition != self.state.definition:
            self._trigger(happened.ScheduleChanged, stamp, definition=definition)

    def enable(self, stamp: Stamp) -> None:
        """Let it fire; asking again changes nothing."""
        if not self.state.enabled:
            self._trigger(happened.ScheduleEnabled, stamp)

    def disable(self, stamp: Stamp, *, reason: str | None = None, ended: Iterable[UUID] = ()) -> None:
        """Keep it from firing by its own times; asking again changes nothing."""
        if self.state.enabled:
            self._trigger(happened.ScheduleDisabled, stamp, reason=reason, ended=tuple(ended))

    def delete(self, stamp: Stamp) -> None:
        """Let it never fire again; asking again changes nothing."""
        if self.state.deleted_at is None:
            self._trigger(happened.ScheduleDeleted, stamp)

    def record(self, stamp: Stamp, decision: Decision, *, ended: Iterable[UUID] = ()) -> None:
        """Write down what becomes of a time. The run that it may have is the caller's to submit, in the same append."""
        match decision:
            case Missed(first_at=first_at, last_at=last_at, number=number):
                self._trigger(happened.ScheduleMissed, stamp, first_at=first_at, last_at=last_at, count=number)
            case Firing(verdict=Start(terminates=terminates)):
                task_id = decision.task_id
                self._settle(happened.ScheduleFired, stamp, decision, ended, task_id=task_id, terminates=terminates)
            case Firing(verdict=Hold(cancels=cancels)):
                task_id = decision.task_id
                self._settle(happened.ScheduleBuffered, stamp, decision, ended, task_id=task_id, cancels=cancels)
            case Firing(verdict=Drop(reason=reason, running=running)):
                self._settle(happened.ScheduleSkipped, stamp, decision, ended, reason=reason, running=running)

    def release(self, stamp: Stamp, task_id: UUID, *, ended: Iterable[UUID] = ()) -> None:
        """Let a held run go; the caller releases the run itself, in the same append."""
        self._trigger(happened.BufferReleased, stamp, task_id=task_id, ended=tuple(ended))

    def return_run(self, stamp: Stamp, task_id: UUID) -> None:
        """Let a run that had ended and goes on count as running again."""
        self._trigger(happened.RunReturned, stamp, task_id=task_id)

    def request_backfill(
        self, stamp: Stamp, *, backfill_id: UUID, start: datetime, end: datetime, overlap: Overlap, count: int
    ) -> None:
        """Have the times from `start` to `end` fire, both included; `count` is how many there are.

        Raises TooManyBackfills while `MOST_BACKFILLS` are not finished.
        """
        if len(self.state.backfills) >= MOST_BACKFILLS:
            raise TooManyBackfills(
                f"Schedule {self.id} has {MOST_BACKFILLS} backfills to work through: wait until one of them is "
                "finished, or delete the schedule, which ends them all."
            )
        self._trigger(
            happened.BackfillRequested,
            stamp,
            backfill_id=backfill_id,
            start=start,
            end=end,
            overlap=overlap,
            count=count,
        )

    def finish_backfill(self, stamp: Stamp, backfill_id: UUID) -> None:
        """Note that every time of a backfill is settled."""
        self._trigger(happened.BackfillFinished, stamp, backfill_id=backfill_id)

    def _settle(
        self,
        event: type[happened.FiringEvent],
        stamp: Stamp,
        firing: Firing,
        ended: Iterable[UUID],
        **fields: Any,
    ) -> None:
        self._trigger(
            event,
            stamp,
            nominal_at=firing.nominal_at,
            kind=firing.kind,
            request_id=firing.request_id,
            ended=tuple(ended),
            **fields,
        )

    def _trigger(self, event: type[happened.ScheduleEvent], stamp: Stamp, **fields: Any) -> None:
        if self.state.deleted_at is not None:
            raise ScheduleDeleted(f"Schedule {self.id} was deleted at {self.state.deleted_at.isoformat()}.")
        decided = event(originator_id=self.id, originator_version=self.version + 1, **metadata(stamp), **fields)
        apply(self.state, decided)
        self._pending.append(decided)


def fold(schedule: Schedule | None, events: Iterable[Event]) -> Schedule | None:
    """Return the schedule that `events` lead to, from `schedule` on or from its creation."""
    for event in events:
        if isinstance(event, happened.ScheduleCreated):
            schedule = schedule or Schedule.of(event)
        elif schedule is not None:
            schedule.apply(event)
    return schedule
