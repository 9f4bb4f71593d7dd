"""Branches among the live runs: released together, as what goes on, within their run's share of the slots."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from services.executor.live_run import RunState
from services.executor.live_runs import LiveRuns
from services.executor.policy import PreemptionPolicy
from services.executor.preempting import choose
from shared.domain.priority import Priority
from tests.builders import NOW, stamp, submitted
from tests.unit.executor.live_runs import SYMBOLS, WORKER, StageDesk, at_work, worker


def test_members_are_released_as_what_goes_on_and_the_run_holds_no_slot() -> None:
    """Each under its own id, with its step, its symbol and the number of its stage."""
    desk = StageDesk()
    run = desk.opened()
    released = desk.released()
    assert [(each.id, each.step, each.symbol, each.opening, each.attempt) for each in released] == [
        (run.members["look", symbol].id, "look", symbol, 1, 1) for symbol in SYMBOLS
    ]
    assert [each.symbols for each in released] == [(symbol,) for symbol in SYMBOLS]
    assert all(each.resumed and each.task_id == run.id for each in released)
    assert desk.row(run.id).state is RunState.JOINING
    assert list(desk.runs.at_work()) == []


def test_members_are_what_their_run_is() -> None:
    """Level, user, strategy and trace are its own, and what it has left of its time is theirs."""
    desk = StageDesk()
    run = desk.opened(level=Priority.LOW, user_id="bob")
    (first, *_) = desk.released()
    assert (first.level, first.user_id, first.strategy_id) == (Priority.LOW, "bob", run.submitted.strategy_id)
    assert (first.trace, first.time_left) == (run.submitted.trace, timedelta(seconds=59))
    assert (first.sent_at, first.sent_level) == (NOW, Priority.LOW)


def test_members_go_before_what_was_never_at_work() -> None:
    """Their run has begun; whoever came before them with a first attempt waits."""
    desk = StageDesk()
    fresh = submitted()
    desk.feed(fresh)
    run = desk.opened("AAPL")
    assert [each.task_id for each in desk.released()] == [run.id, fresh.id]


def test_a_level_holds_no_more_members_than_its_window_in_redis() -> None:
    """They count in it as any other."""
    desk = StageDesk(window=3)
    desk.opened()
    assert len(desk.released()) == 3


def test_at_most_max_parallel_are_with_the_workers() -> None:
    """At work and in Redis together; the others are parked."""
    desk = StageDesk()
    run = desk.opened(max_parallel=2)
    assert desk.symbols() == ["AAPL", "GOOG"]
    desk.claim(run, "AAPL")
    assert desk.symbols() == []
    assert Counter(each.state for each in desk.runs.all()) == {
        RunState.JOINING: 1,
        RunState.RUNNING: 1,
        RunState.WAITING: 1,
        RunState.PARKED: 2,
    }


def test_a_member_that_ends_leaves_its_place_to_the_next() -> None:
    """Completed or failed."""
    desk = StageDesk()
    run = desk.opened(max_parallel=1)
    assert desk.symbols() == ["AAPL"]
    desk.complete(run, "AAPL")
    assert desk.symbols() == ["GOOG"]


def test_a_member_that_waits_for_its_retry_leaves_its_place_to_the_next() -> None:
    """When its delay is over it waits behind those who were never let in."""
    desk = StageDesk()
    run = desk.opened(max_parallel=1)
    desk.released()
    busy = desk.claim(run, "AAPL")
    desk.put_off(run, "AAPL", 4, due_in=2)
    assert desk.symbols() == ["GOOG"]
    assert desk.runs.due(stamp(6).at) == [busy.id]
    busy.fall_due(stamp(6))
    desk.feed(run)
    assert (desk.symbols(), desk.member(run, "AAPL").state) == ([], RunState.PARKED)
    for symbol in ("GOOG", "IBM", "MSFT"):
        desk.complete(run, symbol, 8)
        desk.released()
    again = desk.member(run, "AAPL")
    assert (again.is_sent, again.attempt, again.resumed) == (True, 2, True)


def test_a_member_that_makes_way_leaves_its_place_to_the_next() -> None:
    """It does not take it back at once, though it waits at the head of its level afterwards."""
    desk = StageDesk()
    run = desk.opened(max_parallel=1)
    desk.released()
    desk.claim(run, "AAPL")
    desk.make_way(run, "AAPL")
    assert desk.symbols() == ["GOOG"]
    assert (desk.member(run, "AAPL").is_parked, desk.member(run, "AAPL").preemptions) == (True, 1)


def test_a_lost_member_goes_on_with_its_next_attempt() -> None:
    """And has its place again when nobody waits for it."""
    desk = StageDesk()
    run = desk.opened("AAPL", max_parallel=1)
    desk.released()
    desk.claim(run, "AAPL").lose_worker(stamp(4), attempt=1, worker=WORKER, reason="r", max_losses=3)
    desk.feed(run)
    (again,) = desk.released()
    assert (again.symbol, again.attempt, again.resumed, again.worker) == ("AAPL", 2, True, None)


@pytest.mark.parametrize(("slots", "alone", "beside"), [(0, 1, 1), (1, 2, 1), (2, 4, 1), (4, 8, 2), (5, 10, 2)])
def test_a_run_has_half_the_slots_while_somebody_else_waits_and_else_all_and_as_many_in_redis(
    slots: int, alone: int, beside: int
) -> None:
    """So that a run of hundreds does not starve the desk, and no worker waits for the dispatcher; one at least."""
    symbols = [f"S{number}" for number in range(20)]
    by_itself, shared = StageDesk(slots=slots), StageDesk(slots=slots)
    by_itself.opened(*symbols)
    assert len(by_itself.released()) == alone
    shared.feed(submitted())
    shared.opened(*symbols)
    assert sum(each.is_branch for each in shared.released()) == beside


def test_the_share_follows_who_waits_and_how_many_slots_there_are() -> None:
    """It is counted at each release: more of them go when the others have been taken, or workers have come."""
    desk = StageDesk(slots=2)
    other = submitted()
    desk.feed(other)
    desk.opened(*(f"S{number}" for number in range(20)))
    assert sum(each.is_branch for each in desk.released()) == 1
    other.claim(stamp(3), attempt=1, worker=WORKER)
    desk.feed(other)
    assert len(desk.released()) == 3
    desk.runs.slots = 4
    assert len(desk.released()) == 4


def test_other_stages_count_as_others() -> None:
    """Of two runs side by side each has half the slots, and what waits of one's own does not count."""
    desk = StageDesk(slots=4)
    first = desk.opened(*(f"S{number}" for number in range(20)))
    second = desk.opened(*(f"S{number}" for number in range(20)))
    released = Counter(each.task_id for each in desk.released())
    assert released == {first.id: 8, second.id: 2}
    for symbol in ("S0", "S1", "S2", "S3", "S4", "S5", "S6"):
        desk.complete(first, symbol)
    assert {each.task_id for each in desk.released()} == {first.id}
    assert sum(each.task_id == first.id and not each.is_parked for each in desk.runs.all() if each.is_branch) == 2


def test_parked_members_make_nobody_yield() -> None:
    """Nobody makes way for what would not be let in: they wait outside all levels."""
    desk = StageDesk(slots=2)
    desk.opened(level=Priority.HIGH, max_parallel=1)
    desk.released()
    assert desk.runs.depths() == {Priority.HIGH: 1, Priority.NORMAL: 0, Priority.LOW: 0}
    assert [run.symbol for run in desk.runs.first(Priority.HIGH, 9)] == ["AAPL"]
    busy = [at_work(), at_work()]
    changed, _ = desk.runs.changes()
    runs = LiveRuns([*changed, *busy], window=100, aging=timedelta(minutes=5))
    assert len(choose(runs, {WORKER: worker()}, PreemptionPolicy(), now=NOW + timedelta(minutes=1))) == 1


def test_a_claimed_or_ended_member_leaves_the_depth_of_its_level() -> None:
    """Whoever waits is counted once."""
    desk = StageDesk()
    run = desk.opened()
    desk.released()
    desk.claim(run, "AAPL")
    desk.complete(run, "IBM")
    assert desk.runs.depths()[Priority.NORMAL] == 2


def test_the_run_goes_on_at_the_head_of_its_level_when_its_stage_closes() -> None:
    """With its next attempt, and what it has used up of its time."""
    desk = StageDesk()
    run = desk.opened("AAPL")
    desk.complete(run, "AAPL", 5)
    assert desk.runs.is_joined(desk.row(run.id))
    run.settle_stage(stamp(6))
    desk.feed(submitted(), run)
    first, _ = desk.released()
    assert (first.id, first.attempt, first.resumed, first.spent_seconds) == (run.id, 2, True, 2.0)
    assert list(desk.runs.joining()) == []
