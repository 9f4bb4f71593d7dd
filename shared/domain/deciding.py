"""What every decision about a run has in common: it is made on the fold, checked against the table of moves, and kept
until it is collected and appended."""

from collections.abc import Sequence
from typing import Any

from shared.domain import execution_events as happened
from shared.domain.branch_events import BranchEvent
from shared.domain.errors import AlreadyFinished, Refused, StaleAttempt
from shared.domain.events import Event, Stamp
from shared.domain.execution_state import ExecutionState
from shared.domain.phases import TRANSITIONS


class Deciding(ExecutionState):
    """A run that events are decided on."""

    def __init__(self, submitted: happened.Submitted) -> None:
        super().__init__(submitted)
        self._pending: list[Event] = []

    def collect_events(self) -> Sequence[Event]:
        """Return what was decided since the last call, oldest first, and forget it."""
        pending, self._pending = self._pending, []
        return pending

    def require_attempt(self, attempt: int) -> None:
        """Raise AlreadyFinished when the run has ended, and StaleAttempt unless `attempt` runs."""
        if self.phase.ended:
            raise AlreadyFinished(f"Task {self.id} has already {self.phase}; attempt {attempt} may not add to it.")
        if attempt != self.attempts or not self.phase.at_work or self.in_stage:
            raise StaleAttempt(f"Attempt {attempt} of task {self.id} no longer runs; its worker must stop.")

    def keep(self, event: Event) -> None:
        """Take an event in that was decided on one of the run's branches, to be collected with the others."""
        self.apply(event)
        self._pending.append(event)

    def _trigger(self, event: type[Event], stamp: Stamp, **fields: Any) -> None:
        if self.phase not in TRANSITIONS[event]:
            raise Refused(f"Task {self.id} is {self.phase}; {event.TOPIC} is not possible now.")
        self.keep(event(originator_id=self.id, originator_version=self.version + 1, **metadata(stamp), **fields))


def guarded_version(run: ExecutionState, events: Sequence[Event]) -> int | None:
    """Return the version that the run's own stream must still have when `events` are appended; None for any.

    Events of branches alone leave that stream as it is, and were decided on what it says: a run that is cancelled or
    has ended meanwhile must refuse them. Events of the run itself are refused by their own version.
    """
    branches_alone = bool(events) and all(isinstance(event, BranchEvent) for event in events)
    return run.version if branches_alone else None


def metadata(stamp: Stamp) -> dict[str, Any]:
    """Return the fields that every event takes from its stamp."""
    return {"at": stamp.at, "actor": stamp.actor, "trace": stamp.trace, "append_id": stamp.append_id}
