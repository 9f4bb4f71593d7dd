"""Who has a place under limits, whose turn is next, and that nobody is passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.limits import rank
from services.executor.live_run import LiveRun, RunState
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from tests.builders import PLAN, complete_all, stamp, submitted, waiting_for_retry
from tests.unit.executor.live_runs import SYMBOLS, WORKER, StageDesk, open_look, waiting

HIGH, NORMAL, LOW = Priority
VENUE = {"venue": 1}


def limited(desk: StageDesk, level: Priority = NORMAL, **changes: Any) -> WorkflowExecution:
    """A new run, whose main line has one place at the venue."""
    run = submitted(priority=level, **({"limits": VENUE} | changes))
    desk.feed(run)
    return run


def end(desk: StageDesk, run: WorkflowExecution) -> None:
    """Have a run that waits cancelled."""
    run.request_cancel(stamp(9))
    desk.feed(run)


def parked(desk: StageDesk) -> list[LiveRun]:
    """Those who wait for a place."""
    return [run for run in desk.runs.all() if run.is_parked]


def test_a_limit_counts_over_all_runs_and_what_waits_for_a_place_makes_nobody_yield() -> None:
    """Two at the venue, whoever they belong to."""
    desk = StageDesk(slots=10)
    first, second = (desk.opened("AAPL", "IBM", level=LOW, limits={"venue": 2}) for _ in range(2))
    assert [each.task_id for each in desk.released()] == [first.id] * 2
    assert desk.runs.full_limits() == ["venue"]
    assert desk.runs.depths()[LOW] == 2
    desk.complete(first, "AAPL")
    assert [each.task_id for each in desk.released()] == [second.id]


def test_limits_of_a_workflow_hold_for_its_runs() -> None:
    """The one that came first goes first."""
    desk = StageDesk()
    runs = [limited(desk) for _ in range(3)]
    assert [each.id for each in desk.released()] == [runs[0].id]
    end(desk, runs[0])
    assert [each.id for each in desk.released()] == [runs[1].id]


def test_limits_of_a_workflow_hold_for_its_members_too() -> None:
    """Its main line gives its place up with its worker, and other main lines and members share the place."""
    desk = StageDesk()
    free = desk.opened("AAPL", "IBM")
    assert desk.member(free, "AAPL").limits == {}
    under = desk.opened("AAPL", "IBM", limits={"chart": 5})
    assert desk.member(under, "IBM").limits == {"chart": 5}
    both = submitted(symbols=SYMBOLS, steps=under.submitted.steps, limits=VENUE)
    both.claim(stamp(1), attempt=1, worker=WORKER)
    open_look(both, 2)
    desk.feed(both)
    assert desk.member(both, "IBM").limits == {"chart": 5, "venue": 1}
    assert [each.symbol for each in desk.released() if each.task_id == both.id] == ["AAPL"]


def test_a_place_is_kept_from_the_release_to_the_end_of_the_attempt() -> None:
    """Through waiting in Redis, being at work, and being asked to stop."""
    desk = StageDesk()
    run, other = limited(desk), limited(desk)
    desk.released()
    run.claim(stamp(1), attempt=1, worker=WORKER)
    desk.feed(run)
    assert desk.released() == []
    run.request_cancel(stamp(2))
    desk.feed(run)
    assert desk.released() == []
    run.end_cancelled(stamp(3), attempt=1)
    desk.feed(run)
    assert [each.id for each in desk.released()] == [other.id]


def test_whoever_needs_two_places_waits_for_both() -> None:
    """It holds neither before, so that no two wait for each other."""
    desk = StageDesk()
    first = limited(desk, limits={"a": 1})
    second = limited(desk, limits={"b": 1})
    both = limited(desk, limits={"a": 1, "b": 1})
    desk.released()
    end(desk, first)
    assert desk.released() == []
    end(desk, second)
    assert [each.id for each in desk.released()] == [both.id]


def test_parked_runs_have_their_turn_by_level_and_then_as_they_came() -> None:
    """Whatever the order in which they were parked."""
    desk = StageDesk()
    holder = limited(desk)
    desk.released()
    runs = [limited(desk, level) for level in (LOW, NORMAL, LOW, HIGH, NORMAL)]
    turns = []
    while parked(desk):
        end(desk, holder)
        (next_one,) = desk.released()
        holder = next(run for run in runs if run.id == next_one.id)
        turns.append(runs.index(holder))
    assert turns == [3, 1, 4, 0, 2]


def test_within_a_level_what_goes_on_has_its_place_before_what_is_new() -> None:
    """As in the level's queue: a run whose worker was lost does not wait for all that came meanwhile."""
    desk = StageDesk()
    run = limited(desk)
    desk.released()
    run.claim(stamp(1), attempt=1, worker=WORKER)
    desk.feed(run)
    high = limited(desk, HIGH)
    fresh = limited(desk)
    run.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="r", max_losses=3)
    desk.feed(run)
    turns = []
    for holder in (high, run, fresh):
        turns += [each.id for each in desk.released()]
        end(desk, holder)
    assert turns == [high.id, run.id, fresh.id]


def test_nobody_takes_a_place_that_another_has_waited_for() -> None:
    """It comes free, and somebody else comes, before the next release: with every batch the first one would wait on."""
    desk = StageDesk()
    holder, first = limited(desk), limited(desk)
    desk.released()
    end(desk, holder)
    late = limited(desk)
    assert [each.id for each in desk.released()] == [first.id]
    end(desk, first)
    lower = limited(desk, LOW)
    assert [each.id for each in desk.released()] == [late.id]
    end(desk, late)
    higher = limited(desk, HIGH)
    assert [each.id for each in desk.released()] == [higher.id]
    assert [each.id for each in parked(desk)] == [lower.id]


def test_a_place_of_many_runs_goes_to_the_highest_also_when_a_run_s_own_place_comes_free_with_it() -> None:
    """A stage of low members, one after the other, does not keep the venue from an urgent one."""
    desk = StageDesk()
    low = desk.opened(level=LOW, max_parallel=1, limits=VENUE)
    assert desk.symbols() == ["AAPL"]
    high = desk.opened("IBM", level=HIGH, max_parallel=1, limits=VENUE)
    assert desk.symbols() == []
    desk.complete(low, "AAPL")
    assert [each.task_id for each in desk.released()] == [high.id]
    desk.complete(high, "IBM")
    assert [(each.task_id, each.symbol) for each in desk.released()] == [(low.id, "GOOG")]


def test_whoever_came_first_goes_first_also_when_it_has_waited_for_another_place() -> None:
    """Both places come free between two releases; the one that all want is not for who happened to wait right there."""
    desk = StageDesk()
    holders = [limited(desk, limits={"venue": 1}), limited(desk, limits={"zoo": 1})]
    desk.released()
    first = limited(desk, limits={"zoo": 1, "venue": 1})
    desk.released()
    second = limited(desk, limits={"venue": 1})
    desk.released()
    for holder in holders:
        end(desk, holder)
    assert [each.id for each in desk.released()] == [first.id]
    assert [each.id for each in parked(desk)] == [second.id]


def test_a_run_that_ended_while_it_was_parked_is_passed_over() -> None:
    """It takes no place, and holds nobody up."""
    desk = StageDesk()
    holder, gone, last = (limited(desk) for _ in range(3))
    desk.released()
    end(desk, gone)
    end(desk, holder)
    assert [each.id for each in desk.released()] == [last.id]
    assert desk.runs.full_limits() == []


def test_a_run_that_is_claimed_while_it_is_parked_waits_once_afterwards() -> None:
    """Another replica had sent its pointer: it is over the limit then, and has one turn like everybody else."""
    desk = StageDesk()
    holder, run = limited(desk), limited(desk)
    desk.released()
    run.claim(stamp(1), attempt=1, worker=WORKER)
    run.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="r", max_losses=3)
    desk.feed(run)
    other = limited(desk)
    end(desk, holder)
    assert [(each.id, each.attempt) for each in desk.released()] == [(run.id, 2)]
    assert desk.runs.depths()[NORMAL] == 1
    end(desk, run)
    assert [each.id for each in desk.released()] == [other.id]


def test_a_retry_waits_for_a_place_anew() -> None:
    """It gave its own up with its worker."""
    desk = StageDesk()
    run = waiting_for_retry(limits=VENUE)
    desk.feed(run)
    other = limited(desk)
    assert [each.id for each in desk.released()] == [other.id]
    run.fall_due(stamp(3))
    desk.feed(run)
    assert (desk.released(), desk.row(run.id).is_parked) == ([], True)
    end(desk, other)
    assert [(each.id, each.attempt) for each in desk.released()] == [(run.id, 2)]


def test_only_limits_over_many_runs_are_told_as_full() -> None:
    """That a run has many members of its own is nobody else's business; nor is a full place that nobody waits for."""
    desk = StageDesk()
    desk.opened(max_parallel=1, limits={"venue": 9})
    limited(desk, limits={"alone": 1})
    desk.released()
    assert desk.runs.full_limits() == []
    for _ in range(2):
        limited(desk, limits={"zoo": 1})
        limited(desk, limits={"desk": 1})
    desk.released()
    assert desk.runs.full_limits() == ["desk", "zoo"]


def test_parked_rows_have_their_places_by_rank_after_a_restart() -> None:
    """A place came free just before, and nobody had it yet: it is not for the one that was stored first."""
    low, high = (waiting(level, state=RunState.PARKED, since=n, limits=VENUE) for n, level in ((1, LOW), (2, HIGH)))
    desk = StageDesk([low, high])
    assert [run.id for run in desk.released()] == [high.id]


@pytest.mark.parametrize("state", [RunState.WAITING, RunState.RUNNING, RunState.CANCELLING])
def test_whoever_held_a_place_has_it_after_a_restart(state: RunState) -> None:
    """Also when somebody parked was stored before it."""
    holder = waiting(state=state, since=9, limits=VENUE)
    desk = StageDesk([waiting(state=RunState.PARKED, since=1, limits=VENUE), holder])
    assert all(run.id == holder.id for run in desk.released())
    assert len(parked(desk)) == 1


class Crowd:
    """Runs of all levels, with stages and without, under limits that they share; and what must hold of them."""

    MOST = {"venue": 2, "book": 1}
    """Places by key; each run of the crowd takes some of these keys, and members one of their run's own two."""

    def __init__(self) -> None:
        self.desk = StageDesk(slots=3)
        self.runs: list[WorkflowExecution] = []

    def come(self, level: Priority, keys: frozenset[str], *, spreads: bool) -> None:
        """Have a run come."""
        limits = {key: self.MOST[key] for key in sorted(keys)}
        if spreads:
            run = self.desk.opened(level=level, max_parallel=2, limits=limits)
        else:
            run = submitted(priority=level, limits=limits, steps=PLAN)
            self.desk.feed(run)
        self.runs.append(run)

    def go_on(self, number: int, symbol: str, how: str) -> None:
        """Take one of them, or its member for `symbol`, further if it can go."""
        if not self.runs:
            return
        run = self.runs[number % len(self.runs)]
        member = run.members.get(("look", symbol))
        branch = member if member is not None and self.desk.runs.get(member.id) is not None else None
        line = branch or run
        row = self.desk.runs.get(line.id)
        match row.state if row is not None else None, how:
            case None, _:
                return
            case _, "cancel":
                run.request_cancel(stamp(8))
            case RunState.WAITING, _ if row is not None and row.is_sent:
                line.claim(stamp(5), attempt=line.attempts + 1, worker=WORKER)
            case RunState.RUNNING, "lose":
                line.lose_worker(stamp(6), attempt=line.attempts, worker=WORKER, reason="r", max_losses=99)
            case RunState.RUNNING, "yield":
                line.request_preemption(stamp(6), attempt=line.attempts, preempted_by="x")
                line.make_way(stamp(6), attempt=line.attempts)
            case RunState.RUNNING, _ if branch is not None:
                self.desk.complete(run, symbol, 7)
            case RunState.RUNNING, _:
                complete_all(run, stamp(7))
            case RunState.CANCELLING, _ if branch is not None:
                branch.close(stamp(9), attempt=branch.attempts, reason="cancelled")
            case RunState.CANCELLING, _:
                run.end_cancelled(stamp(9), attempt=run.attempts)
            case RunState.JOINING, _ if row is not None and self.desk.runs.is_joined(row):
                run.settle_stage(stamp(8))
        self.desk.feed(run)

    def release(self) -> list[LiveRun]:
        """Release, and check that places are neither exceeded, nor left free, nor given to the wrong one."""
        before = {run.id for run in parked(self.desk)}
        released = self.desk.released()
        taken = Counter(key for run in self.holders() for key in keys_of(run))
        assert all(taken[key] <= most for run in self.desk.runs.all() for key, most in keys_of(run).items())
        admitted = [run for run in self.desk.runs.all() if run.id in before and not run.is_parked]
        for waits in parked(self.desk):
            assert not fits(waits, taken), "somebody is parked, and places are free"
            for other in admitted:
                if rank(waits) < rank(other):
                    assert not fits(waits, taken - Counter(keys_of(other).keys())), "a place went to the wrong one"
        return released

    def holders(self) -> list[LiveRun]:
        """Those who have their places."""
        return [run for run in self.desk.runs.all() if run.at_work or run.state is RunState.WAITING]


def keys_of(run: LiveRun) -> Mapping[str, int]:
    """All keys under which a run or branch takes a place, and how many there are."""
    own = {str(run.task_id): run.max_parallel} if run.is_branch and run.max_parallel else {}
    return own | run.limits


def fits(run: LiveRun, taken: Counter[str]) -> bool:
    """Tell whether there is a place for each of its keys."""
    return all(taken[key] < most for key, most in keys_of(run).items())


COMING = st.tuples(st.sampled_from(Priority), st.frozensets(st.sampled_from(sorted(Crowd.MOST))), st.booleans())
GOING = st.tuples(
    st.integers(0, 9), st.sampled_from(SYMBOLS), st.sampled_from(["end", "end", "end", "lose", "yield", "cancel"])
)


@settings(deadline=None)
@given(moves=st.lists(COMING | st.tuples(GOING, st.booleans()), max_size=60))
def test_no_limit_is_ever_passed_and_nobody_is_parked_for_ever(moves: list[Any]) -> None:
    """Whoever comes, claims, ends, loses its worker or makes way, in whatever order, with releases here and there."""
    crowd = Crowd()
    for move in moves:
        match move:
            case (Priority() as level, keys, spreads):
                crowd.come(level, keys, spreads=spreads)
            case ((number, symbol, how), releases):
                crowd.go_on(number, symbol, how)
                if releases:
                    crowd.release()
    for _ in range(20 * len(crowd.runs)):
        crowd.release()
        for number, symbol in product(range(len(crowd.runs)), SYMBOLS):
            crowd.go_on(number, symbol, "end")
    assert list(crowd.desk.runs.all()) == []


def test_members_of_one_stage_have_their_turns_in_the_order_of_the_stage() -> None:
    """They came at the same position, and have the same rank."""
    desk = StageDesk()
    run = desk.opened(max_parallel=1)
    assert len({rank(desk.member(run, symbol)) for symbol in SYMBOLS}) == 1
    turns = []
    for symbol in SYMBOLS:
        turns += desk.symbols()
        desk.complete(run, symbol)
    assert turns == list(SYMBOLS)
