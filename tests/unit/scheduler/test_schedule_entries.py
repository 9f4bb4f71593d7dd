"""All schedules in memory: who has something to do, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.scheduler import timetables
from services.scheduler.entries import Entries
from services.scheduler.timetables import timetable
from shared.domain.phases import Phase
from shared.domain.schedule import Schedule
from shared.domain.timing import SessionEvent, SessionMoment, Timing, When
from tests.builders import NOW, in_phase, stamp
from tests.schedule_builders import fire, schedule
from tests.timetables import each_interval


def entries(*of: Schedule) -> Entries:
    """Schedules that were just read, and looked at once."""
    found = Entries(each_interval)
    for each in of:
        found.put(each, NOW)
    found.ready(NOW)
    for each in of:
        entry = found.get(each.id)
        assert entry is not None
        found.await_next(entry)
    return found


def minutely(**changes: object) -> Schedule:
    """A schedule that is due each minute."""
    return schedule(when=When(every_seconds=60.0), **changes)  # type: ignore[arg-type]


def test_an_entry_is_told_of_when_it_is_due() -> None:
    """Once, at its time and not before."""
    of = minutely()
    found = entries(of)
    due = NOW + timedelta(minutes=1)
    assert found.next_at() == due
    assert found.ready(due - timedelta(microseconds=1)) == []
    assert [entry.schedule for entry in found.ready(due)] == [of]
    assert found.ready(due) == []


def test_one_that_was_told_of_and_left_as_it_is_is_told_of_again_when_it_awaits_its_time() -> None:
    """Nothing is forgotten because somebody looked at it too early."""
    found = entries(minutely())
    due = NOW + timedelta(minutes=1)
    [entry] = found.ready(due)
    found.await_next(entry)
    assert found.ready(due) == [entry]


def test_whatever_happens_in_between_costs_no_memory() -> None:
    """A thousand triggers of a schedule that is due next year are a thousand events, and one time to wait for."""
    of = schedule(when=When(every_seconds=31_536_000.0))
    found = entries(of)
    before = found.next_at()
    for second in range(1000):
        fire(of, stamp(second))
        for event in of.collect_events():
            found.apply(event, NOW)
        entry = found.get(of.id)
        assert entry is not None
        found.refresh(entry)
    found.ready(NOW)
    assert found.next_at() == before
    assert len(found._due) == 1


def test_the_end_of_a_run_is_news_of_its_schedule_only() -> None:
    """Runs of nobody are passed over."""
    of, other = minutely(), minutely()
    run = in_phase(Phase.SUCCEEDED)
    fire(of, stamp(1), nominal_at=NOW)
    task_id = next(iter(of.state.runs))
    found = entries(of, other)
    [*_, end] = in_phase(Phase.SUCCEEDED, task_id=task_id).collect_events()
    [*_, stranger] = run.collect_events()
    found.apply(stranger, NOW)
    assert found.ready(NOW) == []
    found.apply(end, NOW)
    [entry] = found.ready(NOW)
    assert (entry.schedule, list(entry.ended)) == (of, [task_id])


def test_a_deleted_schedule_that_holds_nothing_is_not_loaded() -> None:
    """Its runs go on without it."""
    of = minutely()
    fire(of, stamp(1), nominal_at=NOW)
    of.delete(stamp(2))
    found = Entries(each_interval)
    assert found.load([of.state], NOW) == []


class Broken:
    """Times that nobody foresaw to fail."""

    def after(self, moment: datetime) -> datetime | None:
        """Raise."""
        raise OverflowError(str(moment))


def test_times_that_cannot_be_computed_are_none_and_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the library raises, and whenever."""
    timing = Timing(when=When(every_seconds=60.0))
    monkeypatch.setattr(timetables, "times_of", lambda _: Broken())
    assert timetable(timing).after(NOW) is None
    assert "schedule.times_unknown" in capsys.readouterr().out


def test_a_calendar_that_has_left_the_library_gives_no_times(capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule was right when it was written."""
    session = SessionMoment(event=SessionEvent.OPEN)
    timing = Timing(when=When(session=session), calendar="GONE")
    assert timetable(timing).after(NOW) is None
    assert "GONE is no trading calendar" in capsys.readouterr().out
