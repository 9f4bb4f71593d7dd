"""Whose turn it is among the waiting runs."""

from __future__ import annotations

from datetime import timedelta

from services.executor.live_run import LiveRun, RunState
from services.executor.waiting import AGED_SHARE, Queues
from shared.domain.priority import Priority
from tests.builders import NOW
from tests.unit.executor.live_runs import waiting

HIGH, NORMAL, LOW = Priority
AGE = timedelta(minutes=5)


def queues(*runs: LiveRun) -> Queues:
    """The queues with these runs in them."""
    filled = Queues(age=AGE)
    for run in runs:
        filled[run.level].add(run)
    return filled


def take(filled: Queues, level: Priority, after: timedelta = timedelta()) -> LiveRun | None:
    """Take the next run of a level, and send it."""
    run = filled.next(level, NOW + after)
    if run is not None:
        run.sent_at = NOW
    return run


def test_a_level_gives_its_own_runs_only_while_nobody_has_waited_long() -> None:
    """However many it gives."""
    low, high = waiting(LOW), [waiting(HIGH) for _ in range(3 * AGED_SHARE)]
    filled = queues(low, *high)
    assert [take(filled, HIGH) for _ in high] == high
    assert take(filled, HIGH) is None


def test_one_in_ten_is_an_aged_run_of_a_lower_level_the_oldest_first() -> None:
    """A flood of urgent runs holds the others up, and does not starve them."""
    old, older = waiting(LOW), waiting(NORMAL, waiting_since=NOW - timedelta(seconds=1))
    high = [waiting(HIGH) for _ in range(3 * AGED_SHARE)]
    filled = queues(old, older, *high)
    taken = [take(filled, HIGH, AGE) for _ in range(3 * AGED_SHARE)]
    assert [taken.index(run) for run in (older, old)] == [AGED_SHARE - 1, 2 * AGED_SHARE - 1]
    assert [run for run in taken if run not in (old, older)] == high[: len(taken) - 2]


def test_a_run_that_goes_on_ages_too() -> None:
    """One that was preempted waits at the head of its level, which is of no use if that is never served."""
    resumed, high = waiting(LOW, resumed=True), [waiting(HIGH) for _ in range(AGED_SHARE)]
    filled = queues(resumed, *high)
    assert resumed in [take(filled, HIGH, AGE) for _ in range(AGED_SHARE)]


def test_a_run_is_given_once_by_whatever_way_its_turn_comes() -> None:
    """Released as an aged one, it is passed over where it stood in its own line."""
    low, high = waiting(LOW), [waiting(HIGH) for _ in range(AGED_SHARE)]
    filled = queues(low, *high)
    for _ in range(AGED_SHARE):
        take(filled, HIGH, AGE)
    assert take(filled, LOW) is None


def test_cancelled_runs_cost_their_user_no_turn() -> None:
    """A user who cancels a thousand runs waits for the next one no longer than before."""
    mine = [waiting(user_id="ada", since=number) for number in range(1000)]
    others = [waiting(user_id="bob", since=2000 + number) for number in range(2)]
    filled = queues(*mine, *others)
    for run in mine[:-1]:
        run.state = RunState.ENDED
    assert [take(filled, NORMAL) for _ in range(3)] == [mine[-1], others[0], others[1]]


def test_a_flood_of_one_user_does_not_hold_up_another() -> None:
    """Ten thousand runs of one and one of another: it is the second to go."""
    flood, single = [waiting(user_id="ada") for _ in range(10_000)], waiting(user_id="bob")
    filled = queues(*flood, single)
    assert [take(filled, NORMAL), take(filled, NORMAL)] == [flood[0], single]
