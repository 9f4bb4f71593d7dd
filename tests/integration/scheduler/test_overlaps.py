"""Overlap policies on a real log: what is held is let go, what is to stop is stopped, whoever looks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from services.scheduler.scheduling import Scheduling
from shared.domain.firing import Firing, firing_id
from shared.domain.overlap import MOST_BUFFERED, Hold
from shared.domain.phases import Phase
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import Overlap, ScheduleDisabled
from tests.builders import NOW, WORKER, stamp
from tests.integration.scheduler.desk import Desk, nominals, rounds
from tests.schedule_builders import scheduled_run


@pytest.fixture
def desk(migrated_database_url: str) -> Iterator[Desk]:
    """A desk whose clock stands at NOW."""
    desk = Desk(migrated_database_url)
    yield desk
    desk.close()


def phases(desk: Desk, of: Schedule) -> list[Phase]:
    """How the runs of a schedule stand."""
    return [run.phase for run in desk.runs(of)]


def minutes(desk: Desk, beats: list[Scheduling], *numbers: int) -> None:
    """Let minutes pass one by one, and every beat look twice at each."""
    for number in numbers:
        desk.at(60 * number + 1)
        rounds(beats, 2)


@pytest.fixture(params=[1, 2], ids=["one beat", "two beats"])
def beats(desk: Desk, request: pytest.FixtureRequest) -> list[Scheduling]:
    """One beat, or two side by side."""
    return [desk.beat() for _ in range(request.param)]


def test_skip_fires_again_when_the_run_has_ended(desk: Desk, beats: list[Scheduling]) -> None:
    """However it has: what waits for a worker, a retry or its turn has not."""
    of = desk.create(overlap=Overlap.SKIP)
    minutes(desk, beats, 1, 2)
    assert desk.events(of)[1:] == ["fired", "skipped"]
    desk.finish(desk.runs(of)[0].id, failed=True)
    minutes(desk, beats, 3)
    assert desk.events(of)[1:] == ["fired", "skipped", "fired"]


def test_a_run_that_waits_for_its_retry_runs(desk: Desk, beats: list[Scheduling]) -> None:
    """ "Running" is whatever has not ended."""
    of = desk.create(overlap=Overlap.SKIP)
    minutes(desk, beats, 1)
    [run] = desk.runs(of)
    run.claim(stamp(61), attempt=1, worker=WORKER)
    run.request_preemption(stamp(62), attempt=1, preempted_by=str(uuid4()))
    run.make_way(stamp(63), attempt=1)
    desk.log.save_execution(run)
    minutes(desk, beats, 2)
    assert desk.events(of)[1:] == ["fired", "skipped"]


def test_buffer_one_holds_one_and_lets_it_go(desk: Desk, beats: list[Scheduling]) -> None:
    """The first that came waits, later ones are skipped; when nothing runs any more it is released."""
    of = desk.create(overlap=Overlap.BUFFER_ONE)
    minutes(desk, beats, 1, 2, 3)
    assert desk.events(of)[1:] == ["fired", "buffered", "skipped"]
    assert phases(desk, of) == [Phase.WAITING, Phase.HELD]
    desk.finish(desk.runs(of)[0].id)
    rounds(beats, 2)
    assert phases(desk, of) == [Phase.SUCCEEDED, Phase.WAITING]
    state = desk.schedule(of).state
    assert (state.fired, state.buffered, state.skipped_overlap) == (2, 1, 1)


def test_buffer_all_runs_them_one_after_the_other(desk: Desk, beats: list[Scheduling]) -> None:
    """In the order of their times."""
    of = desk.create(overlap=Overlap.BUFFER_ALL)
    minutes(desk, beats, 1, 2, 3, 4)
    done = []
    for _ in range(4):
        [running] = [run for run in desk.runs(of) if run.phase is Phase.WAITING]
        done.append(running.submitted.scheduled_at)
        desk.finish(running.id)
        rounds(beats, 2)
    assert done == [NOW + timedelta(minutes=number) for number in (1, 2, 3, 4)]


def test_a_held_run_that_was_cancelled_is_passed_over(desk: Desk, beats: list[Scheduling]) -> None:
    """The next one is let go in its place."""
    of = desk.create(overlap=Overlap.BUFFER_ALL)
    minutes(desk, beats, 1, 2, 3)
    first, second, _ = desk.runs(of)
    second.request_cancel(stamp(200), reason="not this one")
    desk.log.save_execution(second)
    desk.finish(first.id)
    rounds(beats, 2)
    assert phases(desk, of) == [Phase.SUCCEEDED, Phase.CANCELLED, Phase.WAITING]


def test_cancel_other_waits_for_the_other_to_stop(desk: Desk, beats: list[Scheduling]) -> None:
    """The running one is asked, the new one is held until it has ended, and a newer one takes its place."""
    of = desk.create(overlap=Overlap.CANCEL_OTHER)
    minutes(desk, beats, 1)
    [first] = desk.runs(of)
    first.claim(stamp(61), attempt=1, worker=WORKER)
    desk.log.save_execution(first)
    minutes(desk, beats, 2)
    assert phases(desk, of) == [Phase.CANCELLING, Phase.HELD]
    assert "takes its place" in str(desk.runs(of)[0].cancel_reason)
    minutes(desk, beats, 3)
    assert phases(desk, of) == [Phase.CANCELLING, Phase.CANCELLED, Phase.HELD]
    first = desk.runs(of)[0]
    first.end_cancelled(stamp(190), attempt=1)
    desk.log.save_execution(first)
    rounds(beats, 2)
    assert phases(desk, of) == [Phase.CANCELLED, Phase.CANCELLED, Phase.WAITING]


def test_terminate_other_starts_at_once(desk: Desk, beats: list[Scheduling]) -> None:
    """The running one is to be ended by force, and nobody waits for that."""
    of = desk.create(overlap=Overlap.TERMINATE_OTHER)
    minutes(desk, beats, 1)
    [first] = desk.runs(of)
    first.claim(stamp(61), attempt=1, worker=WORKER)
    desk.log.save_execution(first)
    minutes(desk, beats, 2)
    old, new = desk.runs(of)
    assert (old.phase, old.forced, new.phase) == (Phase.CANCELLING, True, Phase.WAITING)


def test_a_stop_that_was_forgotten_is_asked_by_the_next_beat(desk: Desk) -> None:
    """The beat that decided it has died before it asked."""
    of, beat = desk.create(overlap=Overlap.CANCEL_OTHER), desk.beat()
    rounds([beat])
    desk.at(61)
    rounds([beat])
    mine = desk.schedule(of)
    first = desk.runs(of)[0]
    beat.close()
    nominal = NOW + timedelta(minutes=2)
    mine.record(stamp(120), Firing(nominal, firing_id(of.id, nominal), Hold((first.id,))))
    held = scheduled_run(mine, firing_id(of.id, nominal), stamp(120), held=True)
    desk.log.append([*mine.collect_events(), *held.collect_events()])
    desk.at(121)
    rounds([desk.beat()], 2)
    assert phases(desk, of) == [Phase.CANCELLED, Phase.WAITING]


def test_what_a_disabled_schedule_holds_is_cancelled(desk: Desk, beats: list[Scheduling]) -> None:
    """Whoever switches it off does not want it to start a minute later; the running one goes on."""
    of = desk.create(overlap=Overlap.BUFFER_ALL)
    minutes(desk, beats, 1, 2, 3)
    mine = desk.schedule(of)
    mine.disable(stamp(182))
    desk.save(mine)
    rounds(beats, 2)
    desk.at(185)
    rounds(beats, 2)
    assert phases(desk, of) == [Phase.WAITING, Phase.CANCELLED, Phase.CANCELLED]
    assert "was disabled" in str(desk.runs(of)[1].cancel_reason)


def test_what_a_deleted_schedule_holds_is_cancelled(desk: Desk) -> None:
    """By the beat of the moment, or by one that starts later."""
    of, beat = desk.create(overlap=Overlap.BUFFER_ALL), desk.beat()
    minutes(desk, [beat], 1, 2)
    beat.close()
    mine = desk.schedule(of)
    mine.delete(stamp(130))
    desk.save(mine)
    desk.at(140)
    rounds([desk.beat()], 2)
    assert phases(desk, of) == [Phase.WAITING, Phase.CANCELLED]


def test_pause_on_failure_says_which_run_and_why(desk: Desk, beats: list[Scheduling]) -> None:
    """And once only: switched on again it stays so until the next failure."""
    of = desk.create(overlap=Overlap.SKIP, pause_on_failure=True)
    minutes(desk, beats, 1)
    [run] = desk.runs(of)
    desk.finish(run.id, failed=True)
    minutes(desk, beats, 2)
    disabled = desk.log.stream(of.id)[-1]
    assert isinstance(disabled, ScheduleDisabled)
    assert disabled.reason == f"task {run.id} failed: ValueError: no prices"
    mine = desk.schedule(of)
    mine.enable(stamp(150))
    desk.save(mine)
    minutes(desk, beats, 3)
    assert desk.events(of)[1:] == ["fired", "disabled", "enabled", "fired"]


def test_a_run_that_is_tried_again_counts_as_running_again(desk: Desk, beats: list[Scheduling]) -> None:
    """Also when the schedule had forgotten it already."""
    of = desk.create(overlap=Overlap.SKIP)
    minutes(desk, beats, 1)
    [first] = desk.runs(of)
    desk.finish(first.id, failed=True)
    minutes(desk, beats, 2)
    second = desk.runs(of)[1]
    desk.finish(second.id)
    again = desk.log.execution(first.id)
    again.retry_now(stamp(130))
    desk.log.save_execution(again)
    minutes(desk, beats, 3)
    assert desk.events(of)[1:] == ["fired", "fired", "run_returned", "skipped"]
    desk.finish(first.id)
    minutes(desk, beats, 4)
    assert desk.events(of)[-1] == "fired"


def backfill(desk: Desk, of: Schedule, start: float, end: float, overlap: Overlap) -> None:
    """Ask for the minutes from `start` to `end`."""
    mine = desk.schedule(of)
    mine.request_backfill(
        stamp(1),
        backfill_id=uuid4(),
        start=NOW + timedelta(minutes=start),
        end=NOW + timedelta(minutes=end),
        overlap=overlap,
        count=int(end - start) + 1,
    )
    desk.save(mine)


def test_a_backfill_fires_its_range_beside_the_own_times(desk: Desk, beats: list[Scheduling]) -> None:
    """All of it, once, whoever works on it; also on a schedule that is disabled."""
    of = desk.create(enabled=False)
    backfill(desk, of, -120, -1, Overlap.ALLOW_ALL)
    desk.at(1)
    rounds(beats, 8)
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=number) for number in range(-120, 0)]
    assert desk.events(of)[-1] == "backfill_finished"


def test_a_long_backfill_goes_on_as_its_runs_end(desk: Desk) -> None:
    """One runs, a hundred wait, and the rest is fired as room is made; none is dropped."""
    of, beat = desk.create(enabled=False), desk.beat()
    number = MOST_BUFFERED + 5
    backfill(desk, of, -number, -1, Overlap.BUFFER_ALL)
    desk.at(1)
    rounds([beat], 6)
    assert len(desk.runs(of)) == MOST_BUFFERED + 1
    for _ in range(4):
        [running] = [run for run in desk.runs(of) if run.phase is Phase.WAITING]
        desk.finish(running.id)
        rounds([beat], 3)
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=each) for each in range(-number, 0)]
    assert desk.events(of)[-1] == "backfill_finished"
