"""Which times are due, and what becomes of each: decided without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.firing import (
    MOST_MISSED,
    Decision,
    Firing,
    Missed,
    Standing,
    backfill_firings,
    due_at,
    firing_id,
    next_nominal,
    own_firings,
)
from shared.domain.overlap import MOST_BUFFERED, Drop, Hold, Start
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringKind, Overlap, SkipReason
from tests.builders import NOW, stamp
from tests.schedule_builders import schedule
from tests.timetables import EverySeconds


def minute(number: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=number)


def decide(
    of: Schedule, now: datetime, *, ended: Iterable[UUID] = (), has_strategy: bool = True, most: int = 50
) -> list[Decision]:
    """Decide about the times that are due, and write it down."""
    standing = Standing(of.state, set(ended))
    found = list(own_firings(of.state, EverySeconds(), standing, now, has_strategy=has_strategy, most=most))
    for decision in found:
        of.record(stamp((now - NOW).total_seconds()), decision, ended=ended)
    return found


def verdicts(decisions: Iterable[Decision]) -> list[Any]:
    """What became of each time, or how many were missed."""
    return [decision.verdict if isinstance(decision, Firing) else decision.number for decision in decisions]


def test_nothing_is_due_before_its_time() -> None:
    """A time counts from the very instant on, not before."""
    of = schedule()
    assert decide(of, minute(1) - timedelta(microseconds=1)) == []
    [firing] = decide(of, minute(1))
    assert firing == Firing(minute(1), firing_id(of.id, minute(1)), Start())


def test_a_time_is_decided_once() -> None:
    """Asked again at the same moment there is nothing left."""
    of = schedule()
    decide(of, minute(1))
    assert decide(of, minute(1)) == []
    assert next_nominal(of.state, EverySeconds()) == minute(2)


def test_the_same_time_has_the_same_run_whoever_decides() -> None:
    """Its id derives from schedule and time, and another schedule, time or request has another."""
    first, request = uuid4(), uuid4()
    assert firing_id(first, minute(1)) == firing_id(first, minute(1))
    ids = {
        firing_id(first, minute(1)),
        firing_id(first, minute(2)),
        firing_id(uuid4(), minute(1)),
        firing_id(first, minute(1), request),
    }
    assert len(ids) == 4


def test_a_disabled_schedule_is_never_due_and_what_it_slept_through_is_not_caught_up() -> None:
    """Enabled again it goes on with the next time."""
    of = schedule()
    of.disable(stamp(30))
    assert decide(of, minute(5)) == []
    assert next_nominal(of.state, EverySeconds()) is None
    of.enable(stamp(301))
    assert decide(of, minute(5.5)) == []
    assert next_nominal(of.state, EverySeconds()) == minute(6)


def test_times_that_are_too_late_are_counted_and_never_run() -> None:
    """After ten minutes without anybody, with two minutes of catch-up: the last three are decided about."""
    of = schedule(catchup_seconds=120, overlap=Overlap.ALLOW_ALL)
    decisions = decide(of, minute(10))
    assert decisions[0] == Missed(minute(1), minute(7), 7)
    assert [each.nominal_at for each in decisions[1:] if isinstance(each, Firing)] == [minute(8), minute(9), minute(10)]
    assert (of.state.missed_catchup, of.state.fired) == (7, 3)


def test_no_catch_up_at_all_allows_no_lateness() -> None:
    """A second after its time it is missed."""
    of = schedule(catchup_seconds=0)
    assert verdicts(decide(of, minute(1) + timedelta(seconds=1))) == [1]


def test_what_is_caught_up_overlaps_like_anything_else() -> None:
    """Of three times one starts, and the others find it running."""
    of = schedule()
    first, second, third = decide(of, minute(3))
    assert isinstance(first, Firing)
    in_the_way = Drop(SkipReason.OVERLAP, first.task_id)
    assert verdicts([first, second, third]) == [Start(), in_the_way, in_the_way]
    assert (of.state.fired, of.state.skipped_overlap) == (1, 2)


def test_a_run_that_has_ended_is_in_nobodys_way() -> None:
    """And is forgotten with the decision that says so."""
    of = schedule()
    [first] = decide(of, minute(1))
    assert isinstance(first, Firing)
    assert verdicts(decide(of, minute(2))) == [Drop(SkipReason.OVERLAP, first.task_id)]
    assert verdicts(decide(of, minute(3), ended=[first.task_id])) == [Start()]
    assert first.task_id not in of.state.runs


def test_of_its_own_times_no_more_than_max_runs_give_a_run() -> None:
    """Skipped and missed ones do not count; at the end there is no next time."""
    of = schedule(max_runs=2, overlap=Overlap.SKIP, catchup_seconds=90)
    assert verdicts(decide(of, minute(4)))[0] == 2
    assert (of.state.used, of.state.skipped_overlap) == (1, 1)
    assert verdicts(decide(of, minute(6), ended=list(of.state.runs))) == [Start()]
    assert decide(of, minute(9)) == []
    assert next_nominal(of.state, EverySeconds()) is None


def test_a_burst_of_catching_up_stops_at_max_runs() -> None:
    """Within one decision, too."""
    of = schedule(max_runs=2, overlap=Overlap.ALLOW_ALL)
    assert verdicts(decide(of, minute(5))) == [Start(), Start()]


def test_without_its_strategy_a_firing_says_so() -> None:
    """The desk sees why there was no run; the next time is tried again."""
    of = schedule()
    assert verdicts(decide(of, minute(1), has_strategy=False)) == [Drop(SkipReason.NO_STRATEGY)]
    assert verdicts(decide(of, minute(2))) == [Start()]
    assert (of.state.skipped_otherwise, of.state.skipped_overlap) == (1, 0)


def test_many_times_are_decided_in_pieces() -> None:
    """`most` decisions at once, in order, none twice."""
    of = schedule(overlap=Overlap.ALLOW_ALL, catchup_seconds=3600)
    found = [each.nominal_at for _ in range(4) for each in decide(of, minute(10), most=3) if isinstance(each, Firing)]
    assert found == [minute(number) for number in range(1, 11)]


def test_jitter_is_drawn_once_for_each_time_and_never_reaches_the_next() -> None:
    """The same for whoever draws, other for other schedules."""
    of, other = schedule(jitter_seconds=3600), schedule(jitter_seconds=3600)
    for number in range(1, 200):
        nominal = minute(number)
        due = due_at(of.state, nominal, EverySeconds())
        assert nominal <= due < nominal + timedelta(minutes=1)
        assert due == due_at(of.state, nominal, EverySeconds())
    assert {due_at(of.state, minute(n), EverySeconds()) for n in range(9)}.isdisjoint(
        {due_at(other.state, minute(n), EverySeconds()) for n in range(9)}
    )


def test_jitter_spreads_over_its_whole_width() -> None:
    """Some come in its first tenth, some in its last."""
    of = schedule(jitter_seconds=10)
    drawn = [(due_at(of.state, minute(n), EverySeconds()) - minute(n)).total_seconds() for n in range(1, 500)]
    assert (min(drawn) < 1.0, max(drawn) > 9.0, max(drawn) < 10.0) == (True, True, True)
    assert sum(drawn) / len(drawn) == pytest.approx(5.0, abs=0.5)


def test_lateness_counts_from_the_time_with_its_jitter() -> None:
    """What waits for its jitter is not missed for it."""
    of = schedule(jitter_seconds=59, catchup_seconds=1)
    due = due_at(of.state, minute(1), EverySeconds())
    assert decide(of, due - timedelta(microseconds=1)) == []
    assert verdicts(decide(of, due)) == [Start()]


def backfilled(of: Schedule, start: datetime, end: datetime, overlap: Overlap) -> UUID:
    """Ask for past times."""
    backfill_id = uuid4()
    of.request_backfill(stamp(), backfill_id=backfill_id, start=start, end=end, overlap=overlap, count=1)
    return backfill_id


def work_through(of: Schedule, backfill_id: UUID, *, ended: Iterable[UUID] = (), most: int = 50) -> list[Firing]:
    """Decide about a part of a backfill, and write it down."""
    backfill = of.state.backfills[backfill_id]
    standing = Standing(of.state, set(ended))
    found = list(backfill_firings(of.state, backfill, EverySeconds(), standing, has_strategy=True, most=most))
    for firing in found:
        of.record(stamp(), firing, ended=ended)
    return found


def test_a_backfill_fires_every_time_of_its_range_both_ends_included() -> None:
    """Also those before the schedule was made, in pieces, and for none of them twice."""
    of = schedule()
    backfill_id = backfilled(of, minute(-5), minute(-2), Overlap.ALLOW_ALL)
    found = work_through(of, backfill_id, most=3) + work_through(of, backfill_id, most=3)
    assert [firing.nominal_at for firing in found] == [minute(-5), minute(-4), minute(-3), minute(-2)]
    assert {(firing.kind, firing.request_id) for firing in found} == {(FiringKind.BACKFILL, backfill_id)}
    assert work_through(of, backfill_id) == []
    assert of.state.settled_until == NOW


def test_a_backfill_has_runs_of_its_own() -> None:
    """A time that has fired before fires again, as another run."""
    of = schedule()
    [own] = decide(of, minute(1))
    assert isinstance(own, Firing)
    ids = {own.task_id}
    for _ in range(2):
        backfill_id = backfilled(of, minute(1), minute(1), Overlap.ALLOW_ALL)
        ids |= {firing.task_id for firing in work_through(of, backfill_id)}
    assert len(ids) == 3


def test_a_backfill_waits_for_room_in_the_buffer_and_drops_nothing() -> None:
    """One runs and a hundred wait; when the first has ended and the next is let go, one more is held."""
    of = schedule()
    backfill_id = backfilled(of, minute(-300), minute(-100), Overlap.BUFFER_ALL)
    found = [firing for _ in range(5) for firing in work_through(of, backfill_id)]
    assert verdicts(found) == [Start(), *[Hold()] * MOST_BUFFERED]
    of.release(stamp(), found[1].task_id, ended=[found[0].task_id])
    assert verdicts(work_through(of, backfill_id)) == [Hold()]


def test_a_backfill_counts_against_no_limit_of_own_runs() -> None:
    """`max_runs` is about the schedule's own times."""
    of = schedule(max_runs=1)
    backfill_id = backfilled(of, minute(-5), minute(-1), Overlap.ALLOW_ALL)
    work_through(of, backfill_id)
    assert of.state.used == 0


MOMENTS = st.lists(st.integers(1, 400), min_size=1, max_size=30)


@settings(deadline=None)
@given(
    steps=MOMENTS,
    overlap=st.sampled_from(Overlap),
    catchup=st.sampled_from([0, 60, 300, 3600]),
    endings=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_every_time_is_settled_once_and_in_order(
    steps: list[int], overlap: Overlap, catchup: int, endings: list[bool]
) -> None:
    """Whenever somebody looks, at random: fired, held, skipped and missed times together are all times, once each."""
    of = schedule(overlap=overlap, catchup_seconds=catchup)
    now, settled = NOW, []
    for number, seconds in enumerate(steps):
        now += timedelta(seconds=seconds)
        ended = [run.task_id for run in of.state.runs.values() if not run.held] if endings[number % 30] else []
        while found := decide(of, now, ended=ended, most=7):
            ended = []
            for decision in found:
                if isinstance(decision, Missed):
                    first = int((decision.first_at - NOW).total_seconds() // 60)
                    settled += [minute(first + each) for each in range(decision.number)]
                    assert settled[-1] == decision.last_at
                    assert now - decision.last_at > timedelta(seconds=catchup)
                else:
                    settled.append(decision.nominal_at)
                    assert now - decision.nominal_at <= timedelta(seconds=catchup)
    elapsed = int((now - NOW).total_seconds() // 60)
    assert settled == [minute(each) for each in range(1, elapsed + 1)]
    state = of.state
    assert state.fired + state.buffered + state.skipped_overlap + state.missed_catchup == elapsed


def test_a_long_outage_is_counted_in_pieces() -> None:
    """So that one schedule does not keep the others waiting: each piece moves on from the one before."""
    of = schedule(catchup_seconds=60)
    [piece] = decide(of, minute(10_000))
    assert piece == Missed(minute(1), minute(MOST_MISSED), MOST_MISSED)
    [following] = decide(of, minute(10_000))
    assert following == Missed(minute(MOST_MISSED + 1), minute(2 * MOST_MISSED), MOST_MISSED)
