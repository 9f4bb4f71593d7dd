"""Having attempts stop that are asked to."""

from __future__ import annotations

from datetime import timedelta

from services.executor.interruption import EXIT_GRACE
from services.executor.live_run import LiveRun, RunState
from services.executor.pressing import FORCE_WITHIN, REMIND_AFTER, Reminders, overdue
from tests.builders import NOW
from tests.unit.executor.live_runs import at_work

GRACE = timedelta(seconds=5)


def due(reminders: Reminders, *runs: LiveRun, after: timedelta = timedelta()) -> list[LiveRun]:
    """Who is reminded after this time."""
    return reminders.due(runs, NOW + after)


def test_who_is_asked_to_stop_is_interrupted_at_once_and_each_second() -> None:
    """An interrupt may get lost; nobody else is disturbed."""
    reminders, asked, other = Reminders(), at_work(asked_at=NOW), at_work()
    assert due(reminders, asked, other) == [asked]
    assert due(reminders, asked, other, after=REMIND_AFTER * 0.9) == []
    assert due(reminders, asked, other, after=REMIND_AFTER) == [asked]


def test_a_new_attempt_is_reminded_by_itself() -> None:
    """The first attempt's reminder says nothing of the second one's."""
    reminders, asked = Reminders(), at_work(asked_at=NOW)
    due(reminders, asked)
    asked.attempt = 2
    assert due(reminders, asked) == [asked]


def test_who_is_to_make_way_and_is_cancelled_then_is_told_of_both() -> None:
    """At once: the second request has a grace, which the first one had not."""
    reminders, run = Reminders(), at_work(asked_at=NOW)
    assert due(reminders, run) == [run]
    run.state = RunState.CANCELLING
    assert due(reminders, run, after=REMIND_AFTER / 2) == [run]
    assert due(reminders, run, after=REMIND_AFTER) == []


def lost(*runs: LiveRun, after: timedelta, told: timedelta | None = timedelta()) -> list[LiveRun]:
    """Who is done without after this time, if all that are asked to stop were `told` then."""
    reminders = Reminders()
    if told is not None:
        reminders.due(runs, NOW + told)
    return [each.run for each in overdue(runs, reminders, grace=GRACE, now=NOW + after)]


def test_a_cancelled_run_that_goes_on_is_done_without() -> None:
    """After the grace and the time that force may take; one that is only asked to make way may go on."""
    cancelled = at_work(state=RunState.CANCELLING, asked_at=NOW)
    asked = at_work(asked_at=NOW)
    assert lost(cancelled, asked, after=GRACE + FORCE_WITHIN) == []
    assert lost(cancelled, asked, after=GRACE + FORCE_WITHIN + timedelta(seconds=1)) == [cancelled]


def test_nobody_is_given_up_who_was_not_told() -> None:
    """A dispatcher that comes back after a while, or a Redis that was away, leaves every run its whole grace."""
    cancelled, late = at_work(state=RunState.CANCELLING, asked_at=NOW), timedelta(minutes=1)
    assert lost(cancelled, after=late, told=None) == []
    assert lost(cancelled, after=late + GRACE, told=late) == []
    assert lost(cancelled, after=late + GRACE + FORCE_WITHIN + timedelta(seconds=1), told=late) == [cancelled]


def test_a_run_past_its_time_that_goes_on_is_done_without() -> None:
    """What it had used up in earlier attempts counts."""
    run = at_work(timeout_seconds=60, spent_seconds=50)
    end = timedelta(seconds=10) + EXIT_GRACE + FORCE_WITHIN
    assert lost(run, after=end) == []
    assert lost(run, after=end + timedelta(seconds=1)) == [run]
