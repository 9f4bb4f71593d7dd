"""What a paused level keeps back, what it lets go on, and in which order it goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.policy import PreemptionPolicy
from services.executor.preempting import choose
from services.executor.waiting import AGED_SHARE
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from tests.builders import NOW, stamp, submitted, waiting_for_retry
from tests.unit.executor.live_runs import WORKER, StageDesk, at_work, waiting, worker

HIGH, NORMAL, LOW = Priority
AGED = NOW + timedelta(minutes=6)


class Desk(StageDesk):
    """Live runs, fed with what is decided on runs and on queues."""

    def __init__(self, *stored: LiveRun, paused: Iterable[Priority] = (), window: int = 100) -> None:
        super().__init__(stored, window=window)
        self.runs = LiveRuns(stored, window=window, aging=timedelta(minutes=5), paused=paused)
        self.runs.slots = 4
        self.queues = {level: Queue(level) for level in Priority}

    def pause(self, level: Priority) -> None:
        """Pause a level."""
        self.queues[level].pause(stamp())
        self._feed_queue(level)

    def resume(self, level: Priority) -> None:
        """Resume a level."""
        self.queues[level].resume(stamp())
        self._feed_queue(level)

    def _feed_queue(self, level: Priority) -> None:
        for event in self.queues[level].collect_events():
            self.position += 1
            self.runs.apply(self.position, event)

    def submit(self, level: Priority = HIGH, **changes: Any) -> WorkflowExecution:
        """Feed a new run."""
        run = submitted(priority=level, **changes)
        self.feed(run)
        return run

    def begin(self, level: Priority = HIGH, **changes: Any) -> WorkflowExecution:
        """Feed a run that a worker has."""
        run = self.submit(level, **changes)
        run.claim(stamp(1), attempt=1, worker=WORKER)
        self.feed(run)
        return run


def ids(runs: Iterable[LiveRun] | Iterable[WorkflowExecution]) -> list[Any]:
    """The ids of runs."""
    return [run.id for run in runs]


def test_a_paused_level_releases_nothing_and_the_others_go_on() -> None:
    """Also what comes after the pause; on resumption all go at once, in the order in which they came."""
    desk = Desk()
    first = desk.submit(HIGH)
    desk.pause(HIGH)
    second, normal = desk.submit(HIGH), desk.submit(NORMAL)
    assert ids(desk.released()) == [normal.id]
    desk.resume(HIGH)
    assert ids(desk.released()) == [first.id, second.id]


def test_what_waits_in_redis_is_taken_back_and_keeps_its_turn() -> None:
    """The window of the level is empty, and is filled with the same runs again, those that came later behind them."""
    desk = Desk(window=2)
    runs = [desk.submit(HIGH) for _ in range(3)]
    other = desk.submit(LOW)
    assert ids(desk.released()) == [runs[0].id, runs[1].id, other.id]
    desk.pause(HIGH)
    assert ids(desk.runs.sent()) == [other.id]
    assert {run.id for run in desk.runs.changes()[0]} >= set(ids(runs[:2]))
    assert desk.released() == []
    desk.resume(HIGH)
    assert ids(desk.released()) == ids(runs[:2])


def test_a_run_that_was_released_in_the_turn_of_a_higher_level_is_taken_back_with_its_own() -> None:
    """An aged one lies in the queue of that level; a pause of that level leaves it where it is."""
    aged = waiting(LOW, waiting_since=NOW, sent_at=AGED, sent_level=HIGH)
    for level, left in ((HIGH, [aged.id]), (LOW, [])):
        desk = Desk(aged)
        desk.pause(level)
        assert ids(desk.runs.sent()) == left


def test_age_does_not_carry_a_run_of_a_paused_level_through_the_turn_of_another() -> None:
    """Nor does a paused level give its turns to aged ones, which have those of their own."""
    desk = Desk(window=3 * AGED_SHARE)
    low = desk.submit(LOW)
    desk.pause(LOW)
    high = [desk.submit(HIGH) for _ in range(2 * AGED_SHARE)]
    assert ids(desk.released(AGED)) == ids(high)
    desk.resume(LOW)
    more = [desk.submit(HIGH) for _ in range(AGED_SHARE)]
    assert low.id in ids(desk.released(AGED))[: len(more)]


def test_running_ones_go_on_and_those_that_give_way_or_are_retried_wait() -> None:
    """Preempted, given up with their worker, or failed for now: they wait for the resumption, before all others."""
    desk = Desk()
    preempted, lost, going = desk.begin(), desk.begin(), desk.begin()
    retried = waiting_for_retry(priority=HIGH)
    desk.feed(retried)
    desk.pause(HIGH)
    assert len(list(desk.runs.at_work())) == 3
    preempted.request_preemption(stamp(2), attempt=1, preempted_by=str(uuid4()))
    preempted.make_way(stamp(3), attempt=1)
    lost.lose_worker(stamp(3), attempt=1, worker=WORKER, reason="it died", max_losses=3)
    retried.fall_due(stamp(60))
    desk.feed(preempted, lost, retried)
    assert (desk.released(), ids(desk.runs.at_work())) == ([], [going.id])
    fresh = desk.submit()
    desk.resume(HIGH)
    assert ids(desk.released()) == [preempted.id, lost.id, retried.id, fresh.id]


def test_a_run_at_a_join_is_under_way_and_goes_on_to_its_end() -> None:
    """Its members, also one that is tried again, and its main line after them: its status is running all along."""
    desk = Desk()
    run = desk.opened("AAPL", "IBM", level=HIGH)
    desk.pause(HIGH)
    assert desk.symbols() == ["AAPL", "IBM"]
    desk.claim(run, "AAPL")
    desk.put_off(run, "AAPL", 4, due_in=1)
    branch = run.members["look", "AAPL"]
    branch.fall_due(stamp(6))
    desk.feed(run)
    assert desk.symbols() == ["AAPL"]
    desk.claim(run, "AAPL", 6)
    desk.complete(run, "AAPL", 7)
    desk.complete(run, "IBM", 8)
    run.settle_stage(stamp(9))
    desk.feed(run)
    (main,) = desk.released()
    assert (main.id, main.is_branch, main.joined) == (run.id, False, True)


def test_a_run_that_gives_way_after_its_join_waits() -> None:
    """It is under way until then, and not for ever."""
    desk = Desk()
    run = desk.opened("AAPL", level=HIGH)
    desk.complete(run, "AAPL")
    run.settle_stage(stamp(5))
    desk.feed(run)
    desk.pause(HIGH)
    assert ids(desk.released()) == [run.id]
    run.claim(stamp(6), attempt=2, worker=WORKER)
    run.lose_worker(stamp(7), attempt=2, worker=WORKER, reason="it died", max_losses=3)
    desk.feed(run)
    assert desk.released() == []


def test_nothing_makes_way_for_a_paused_level() -> None:
    """Not for what waited when it was paused, nor for what comes; what it runs itself makes way for others."""
    policy = PreemptionPolicy()
    for paused, pairs in (((), 1), ((HIGH,), 0)):
        desk = Desk(at_work(LOW), at_work(LOW), waiting(HIGH), paused=paused)
        found = choose(desk.runs, {WORKER: worker()}, policy, now=AGED)
        assert len(found) == pairs
    desk = Desk(at_work(LOW), at_work(LOW), waiting(HIGH), waiting(NORMAL, since=2), paused=(HIGH, LOW))
    (pair,) = choose(desk.runs, {WORKER: worker()}, policy, now=AGED)
    assert pair.waiting.level is NORMAL


def test_members_of_a_paused_level_make_nobody_yield() -> None:
    """They take what is free."""
    desk = Desk(at_work(LOW), at_work(LOW))
    desk.opened("AAPL", level=HIGH)
    desk.pause(HIGH)
    desk.released()
    assert desk.runs.depths()[HIGH] == 1
    assert choose(desk.runs, {WORKER: worker()}, PreemptionPolicy(), now=AGED) == []


def test_what_waits_of_a_paused_level_is_no_reason_for_others_to_share() -> None:
    """A run of another level may have all slots for its branches, as if nobody else waited."""
    desk = Desk(window=1)
    for _ in range(5):
        desk.submit(HIGH)
    desk.pause(HIGH)
    desk.opened(*(f"S{n}" for n in range(9)), level=LOW)
    desk.runs.admit()
    assert desk.runs.depths() == {HIGH: 0, NORMAL: 0, LOW: 8}


def test_a_paused_level_holds_no_place_under_a_limit() -> None:
    """What waits with a place gives it back, others have it, and its turn comes again after the resumption."""
    desk = Desk()
    venue = {"limits": {"venue": 1}}
    high, low = desk.submit(HIGH, **venue), desk.submit(LOW, **venue)
    assert ids(desk.released()) == [high.id]
    desk.pause(HIGH)
    late = desk.submit(HIGH, **venue)
    assert ids(desk.released()) == [low.id]
    assert desk.runs.full_limits() == []
    desk.resume(HIGH)
    assert desk.released() == []
    assert desk.runs.full_limits() == ["venue"]
    low.request_cancel(stamp(9))
    desk.feed(low)
    assert ids(desk.released()) == [high.id]
    high.request_cancel(stamp(9))
    desk.feed(high)
    assert ids(desk.released()) == [late.id]


def test_a_cancelled_run_of_a_paused_level_is_gone() -> None:
    """Whether it was in Redis or not; it does not come back with the resumption."""
    desk = Desk(window=1)
    runs = [desk.submit(HIGH, limits=limits) for limits in ({}, {}, {"venue": 1})]
    desk.released()
    desk.pause(HIGH)
    for run in runs:
        run.request_cancel(stamp(2))
    desk.feed(*runs)
    assert list(desk.runs.all()) == []
    desk.resume(HIGH)
    assert desk.released() == []


def test_a_pause_is_there_after_a_restart() -> None:
    """From what was committed: nothing of the level is released, and on resumption all of it."""
    desk = Desk()
    runs = [desk.submit(HIGH, limits=limits) for limits in ({}, {"venue": 1}, {})]
    desk.released()
    desk.pause(HIGH)
    desk.runs.admit()
    again = Desk(*desk.runs.changes()[0], paused=desk.runs.paused)
    assert again.runs.paused == {HIGH}
    assert again.released() == []
    again.queues = desk.queues
    again.resume(HIGH)
    assert set(ids(again.released())) == set(ids(runs))


def test_pausing_twice_and_resuming_twice_are_as_once() -> None:
    """Everything arrives twice."""
    desk = Desk()
    run = desk.submit(HIGH)
    desk.pause(HIGH)
    events = [Queue(HIGH), Queue(HIGH)]
    for queue in events:
        queue.pause(stamp())
        for event in queue.collect_events():
            desk.runs.apply(9, event)
    assert desk.released() == []
    desk.resume(HIGH)
    assert ids(desk.released()) == [run.id]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["submit", "pause", "resume", "release", "cancel", "restart"]), st.sampled_from(Priority)
        ),
        max_size=30,
    )
)
def test_whatever_happens_nothing_paused_is_sent_and_nothing_is_lost(moves: list[tuple[str, Priority]]) -> None:
    """Also across restarts; when all is resumed, everything that was not cancelled is released once."""
    desk, live = Desk(window=3), {}
    for number, (move, level) in enumerate(moves):
        match move:
            case "submit":
                run = desk.submit(level, limits={"venue": 2} if number % 3 == 0 else {}, user_id=f"user{number % 2}")
                live[run.id] = run
            case "pause":
                desk.pause(level)
            case "resume":
                desk.resume(level)
            case "release":
                desk.released()
            case "cancel" if live:
                run = live.pop(next(iter(live)))
                run.request_cancel(stamp(number))
                desk.feed(run)
            case "restart":
                queues = desk.queues
                desk = Desk(*desk.runs.all(), paused=desk.runs.paused, window=3)
                desk.queues, desk.position = queues, number * 100
        assert not any(run.level in desk.runs.paused for run in desk.runs.sent())
    for level in Priority:
        desk.resume(level)
    _drain(desk, live)


def _drain(desk: Desk, live: dict[Any, WorkflowExecution]) -> None:
    """Let workers take and end everything; fails when something is never released, or released while it waits."""
    assert {run.id for run in desk.runs.all()} == set(live)
    while live:
        desk.released()
        sent = list(desk.runs.sent())
        assert sent
        assert all(run.state is RunState.WAITING for run in sent)
        for each in sent:
            run = live.pop(each.id)
            run.request_cancel(stamp(99))
            desk.feed(run)
