"""Beats on a real log: what is due fires once, whoever looks and however often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import pytest

from services.scheduler.scheduling import LEFT_ALONE
from services.scheduler.slots import STAGGER
from shared.domain.phases import Phase
from shared.domain.schedule_events import Overlap, ScheduleSkipped, SkipReason
from shared.domain.timing import When
from shared.telemetry import configure_telemetry
from shared.telemetry.process import TelemetryOptions
from tests.builders import NOW, stamp
from tests.integration.scheduler.desk import Desk, known, nominals, rounds
from tests.waiting import until


@pytest.fixture(scope="module", autouse=True)
def tracing() -> None:
    """A tracer, as the process has one."""
    configure_telemetry("scheduler", TelemetryOptions(database_url="", is_kept=False))


@pytest.fixture
def desk(migrated_database_url: str) -> Iterator[Desk]:
    """A desk whose clock stands at NOW."""
    desk = Desk(migrated_database_url)
    yield desk
    desk.close()


def test_a_due_time_becomes_a_run_in_the_same_append(desk: Desk) -> None:
    """The run knows its schedule and its time, belongs to the schedule's owner, and has the strategy's plan."""
    of, beat = desk.create(labels={"desk": "eu"}), desk.beat()
    desk.at(60)
    rounds([beat])
    [run] = desk.runs(of)
    submitted = run.submitted
    assert (submitted.schedule_id, submitted.scheduled_at) == (str(of.id), NOW + timedelta(minutes=1))
    assert (submitted.user_id, submitted.labels, submitted.held) == ("ada", {"desk": "eu"}, False)
    assert [step.name for step in submitted.steps] == ["load", "analyse", "decide"]
    assert submitted.trace is not None
    fired = desk.log.stream(of.id)[-1]
    assert (fired.TOPIC, fired.append_id, fired.trace) == ("schedule.fired", submitted.append_id, submitted.trace)


def test_the_time_until_more_is_due_is_told(desk: Desk) -> None:
    """Nothing is asked for in vain: beat wakes when the next time comes."""
    desk.create(every=90)
    beat = desk.beat()
    rounds([beat])
    assert beat.due_in(timedelta(minutes=5)) == timedelta(seconds=90)
    desk.at(89)
    assert beat.due_in(timedelta(minutes=5)) == timedelta(seconds=1)


def test_two_beats_fire_each_time_once(desk: Desk) -> None:
    """Both look at every moment, in turn one or the other first."""
    schedules = [desk.create(overlap=Overlap.ALLOW_ALL) for _ in range(5)]
    beats = [desk.beat(), desk.beat()]
    for second in range(0, 601, 20):
        desk.at(second)
        rounds(reversed(beats) if second % 40 else beats)
    expected = [NOW + timedelta(minutes=minute) for minute in range(1, 11)]
    for of in schedules:
        assert nominals(desk.runs(of)) == expected


def test_a_beat_that_is_overtaken_decides_again(desk: Desk) -> None:
    """It has decided on what it knew; the log refuses that, and the next round knows better."""
    schedules = [desk.create(overlap=Overlap.ALLOW_ALL) for _ in range(3)]
    first, second = desk.beat(), desk.beat()
    rounds([first, second])
    desk.at(60 + STAGGER.total_seconds())
    second.take_in()
    rounds([first])
    second.fire_due()
    rounds([second], 2)
    for of in schedules:
        assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=1)]
        assert known(second, of).version == desk.schedule(of).version


def test_the_second_beat_holds_back_and_steps_in(desk: Desk) -> None:
    """It is late by a quarter of a second while the first one hangs, and not at all once that one is gone."""
    of = desk.create(overlap=Overlap.ALLOW_ALL)
    first, second = desk.beat(), desk.beat()
    rounds([first, second])
    assert (first.leads, second.leads) == (True, False)
    desk.at(60)
    rounds([second])
    assert desk.runs(of) == []
    desk.at(60 + STAGGER.total_seconds())
    rounds([second])
    assert len(desk.runs(of)) == 1
    first.close()

    def moved_up() -> bool:
        desk.now += timedelta(seconds=1)
        rounds([second])
        return second.leads

    until(moved_up, hint="the place of the first one stays taken")
    desk.at(120)
    rounds([second])
    assert len(desk.runs(of)) == 2


def test_a_beat_that_starts_anew_knows_what_has_happened(desk: Desk) -> None:
    """From its snapshots, and from what came after them; nothing fires again."""
    of = desk.create(overlap=Overlap.SKIP)
    beat = desk.beat()
    rounds([beat])
    desk.at(60)
    rounds([beat], 2)
    beat.close()
    desk.finish(desk.runs(of)[0].id)
    other = desk.create(every=30)
    again = desk.beat()
    rounds([again])
    assert len(desk.runs(of)) == 1
    desk.at(120)
    rounds([again])
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=minute) for minute in (1, 2)]
    assert len(desk.runs(other)) == 1


def test_without_snapshots_the_log_tells_everything(desk: Desk) -> None:
    """They are made of the log, and may be thrown away."""
    of, beat = desk.create(), desk.beat()
    for minute in range(1, 4):
        desk.at(60 * minute)
        rounds([beat], 2)
    before = known(beat, of)
    beat.close()
    with desk.log.recorder.datastore.get_connection() as connection:  # type: ignore[attr-defined]
        connection.execute("TRUNCATE log.schedule_snapshots, scheduler.positions")
    again = desk.beat()
    rounds([again])
    assert known(again, of) == before
    assert len(desk.runs(of)) == 1


def test_a_snapshot_and_the_events_since_are_the_schedule(desk: Desk) -> None:
    """What the gateway folds is what a fold of the whole stream gives, and reads only the end of it."""
    of, beat = desk.create(overlap=Overlap.ALLOW_ALL), desk.beat()
    for minute in range(1, 30):
        desk.at(60 * minute)
        rounds([beat])
    assert desk.schedule(of).state == known(beat, of)
    beat.close()
    with desk.log.recorder.datastore.get_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            "DELETE FROM log.blotter_events WHERE originator_id = %s AND originator_version < 20", (of.id,)
        )
    assert desk.schedule(of).state == known(beat, of)


def test_disabling_holds_from_its_commit_on(desk: Desk) -> None:
    """A beat that has not heard of it yet is refused by the log."""
    of, beat = desk.create(), desk.beat()
    rounds([beat])
    desk.at(60)
    beat.take_in()
    mine = desk.schedule(of)
    mine.disable(stamp(59.9))
    desk.save(mine)
    beat.fire_due()
    rounds([beat], 2)
    assert desk.runs(of) == []


def test_time_spent_disabled_is_never_caught_up(desk: Desk) -> None:
    """Enabled again it fires at its next time."""
    of, beat = desk.create(enabled=False, catchup_seconds=3600), desk.beat()
    desk.at(600)
    rounds([beat])
    mine = desk.schedule(of)
    mine.enable(stamp(610))
    desk.save(mine)
    desk.at(659)
    rounds([beat])
    assert desk.runs(of) == []
    desk.at(660)
    rounds([beat])
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=11)]


def test_an_outage_is_caught_up_as_far_as_it_is_allowed(desk: Desk) -> None:
    """Ten minutes without a beat, two and a half of catch-up: two runs, and eight times on record as missed."""
    of = desk.create(overlap=Overlap.ALLOW_ALL, catchup_seconds=150)
    desk.at(600)
    rounds([desk.beat()])
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=minute) for minute in (8, 9, 10)]
    assert desk.schedule(of).state.missed_catchup == 7


def test_a_change_of_times_counts_from_its_moment(desk: Desk) -> None:
    """The old times are gone, and the new ones before the change are settled."""
    of, beat = desk.create(every=60), desk.beat()
    rounds([beat])
    mine = desk.schedule(of)
    mine.change(stamp(50), msgspec.structs.replace(mine.state.definition, when=When(every_seconds=20.0)))
    desk.save(mine)
    desk.at(60)
    rounds([beat])
    assert nominals(desk.runs(of)) == [NOW + timedelta(seconds=60)]
    desk.at(80)
    rounds([beat])
    assert known(beat, of).skipped_overlap == 1


def test_a_stray_strategy_leaves_its_reason_in_the_record(desk: Desk) -> None:
    """One that no executor has now is no reason to stop: the next time is tried again."""
    of, beat = desk.create(), desk.beat()
    desk.publish("another")
    desk.at(60)
    rounds([beat])
    skipped = desk.log.stream(of.id)[-1]
    assert isinstance(skipped, ScheduleSkipped)
    assert skipped.reason is SkipReason.NO_STRATEGY
    desk.publish("another", "sma-crossover")
    desk.at(120)
    rounds([beat])
    assert nominals(desk.runs(of)) == [NOW + timedelta(minutes=2)]


def test_switching_a_schedule_on_and_off_beside_two_beats_fires_no_time_twice(desk: Desk) -> None:
    """Each time has one run while it is on, and none while it is off."""
    of, beats = desk.create(overlap=Overlap.ALLOW_ALL), [desk.beat(), desk.beat()]
    for minute in range(1, 9):
        desk.at(60 * minute)
        for beat in beats:
            beat.round(timedelta(), wait=lambda _: pytest.fail("it failed"))
        mine = desk.schedule(of)
        if minute % 2:
            mine.disable(stamp(60 * minute + 1))
        else:
            mine.enable(stamp(60 * minute + 1))
        desk.save(mine)
    times = nominals(desk.runs(of))
    assert times == [NOW + timedelta(minutes=minute) for minute in (1, 3, 5, 7)]


def test_a_deleted_schedule_is_over(desk: Desk) -> None:
    """Its runs go on, and nothing fires any more, in this beat and in the next."""
    of, beat = desk.create(), desk.beat()
    desk.at(60)
    rounds([beat])
    mine = desk.schedule(of)
    mine.delete(stamp(61))
    desk.save(mine)
    desk.at(300)
    rounds([beat, desk.beat()], 2)
    [run] = desk.runs(of)
    assert run.phase is Phase.WAITING
    assert desk.events(of) == ["created", "fired", "deleted"]


def test_a_schedule_that_cannot_be_decided_about_holds_up_no_other(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is logged, left alone for a while, and tried again; the others fire as ever."""
    broken, sound = desk.create(), desk.create()
    beat = desk.beat()
    rounds([beat])
    entry = beat.entries.get(broken.id)
    assert entry is not None
    entry.times = BrokenOnce()
    desk.at(60)
    rounds([beat])
    assert (len(desk.runs(broken)), len(desk.runs(sound))) == (0, 1)
    assert "schedule.failed" in capsys.readouterr().out
    assert beat.due_in(timedelta(minutes=5)) == LEFT_ALONE
    desk.at(60 + LEFT_ALONE.total_seconds())
    rounds([beat])
    assert len(desk.runs(broken)) == 1


class BrokenOnce:
    """Times that raise what nobody foresaw."""

    def after(self, moment: datetime) -> datetime | None:
        """Raise."""
        raise ZeroDivisionError(f"nothing comes after {moment}")
