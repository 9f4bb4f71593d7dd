"""Having running attempts stop that are asked to: reminding them, and doing without them when they do not.

Pure: it is told what runs and what time it is. An interrupt may get lost with Redis, or be swallowed by a step, so it
is repeated. Should neither the run nor its worker obey, the log goes on without them: their attempt is ended there, and
whatever they still bring is refused. Nobody is given up who was not told: a dispatcher that was away, or Redis, may be
late by more than the grace.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.executor.interruption import EXIT_GRACE
from services.executor.live_run import LiveRun, RunState
from services.executor.reconciling import Lost

REMIND_AFTER = timedelta(seconds=1)
FORCE_WITHIN = timedelta(seconds=5)
"""How long a worker has to end a child by force, before its attempt is ended without it."""


class _Asked(NamedTuple):
    """What an attempt was asked: one that is to make way and is cancelled then has to be told of that too, and one that
    is cancelled and then ended by force.
    """

    stream: UUID
    attempt: int
    state: RunState
    forced: bool


class Reminders:
    """Which attempts to interrupt now; it forgets those that are at work no more."""

    def __init__(self) -> None:
        self._told: dict[_Asked, datetime] = {}
        self._reminded: dict[_Asked, datetime] = {}

    def due(self, runs: Iterable[LiveRun], now: datetime) -> list[LiveRun]:
        """Return the attempts that are asked to stop and were not reminded of it lately, and note that they are."""
        asked = {_asked(run): run for run in runs if run.asked_at is not None}
        self._told = {key: at for key, at in self._told.items() if key in asked}
        self._reminded = {key: at for key, at in self._reminded.items() if key in asked}
        due = [key for key in asked if key not in self._reminded or now - self._reminded[key] >= REMIND_AFTER]
        self._told = dict.fromkeys(due, now) | self._told
        self._reminded |= dict.fromkeys(due, now)
        return [asked[key] for key in due]

    def told_at(self, run: LiveRun) -> datetime | None:
        """Return when an attempt was first told what it is asked now, None when it was not."""
        return self._told.get(_asked(run))


def _asked(run: LiveRun) -> _Asked:
    return _Asked(run.id, run.attempt, run.state, run.forced)


def overdue(runs: Iterable[LiveRun], reminders: Reminders, *, grace: timedelta, now: datetime) -> list[Lost]:
    """Return the attempts that go on although they were told to end, or their time was over, long enough ago."""
    lost = []
    for run in runs:
        told_at = reminders.told_at(run) if run.state is RunState.CANCELLING else None
        if told_at is not None and now - told_at > grace + FORCE_WITHIN:
            lost.append(Lost(run=run, reason=f"it did not stop within {grace + FORCE_WITHIN} after it was cancelled"))
        elif run.started_at and now - run.started_at > run.time_left + EXIT_GRACE + FORCE_WITHIN:
            lost.append(Lost(run=run, reason=f"it did not stop within {EXIT_GRACE + FORCE_WITHIN} after its time"))
    return lost
