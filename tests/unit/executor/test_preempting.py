"""Who makes way for whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.policy import PreemptionPolicy
from services.executor.preempting import Preemption, choose
from shared.domain.priority import Priority
from shared.heartbeats import WorkerHeartbeat
from tests.builders import NOW
from tests.unit.executor.live_runs import WORKER, at_work, waiting, worker

HIGH, NORMAL, LOW = Priority
POLICY = PreemptionPolicy(slice=timedelta(seconds=1), limit=3, patience=timedelta(seconds=2))


def chosen(
    runs: Iterable[LiveRun],
    *workers: WorkerHeartbeat,
    after: float = 10.0,
    spared: Iterable[UUID] = (),
) -> list[Preemption]:
    """Who is to make way `after` seconds, with one worker of two slots unless others are given."""
    desk = {each.name: each for each in workers or (worker(),)}
    live = LiveRuns(runs, window=100, aging=timedelta(minutes=5))
    return choose(live, desk, POLICY, now=NOW + timedelta(seconds=after), spared=set(spared))


def victims(runs: Iterable[LiveRun], *workers: WorkerHeartbeat, **options: object) -> list[LiveRun]:
    """Those who are to make way."""
    return [each.victim for each in chosen(runs, *workers, **options)]  # type: ignore[arg-type]


def test_as_many_make_way_as_wait_without_a_slot() -> None:
    """Six urgent runs and four slots that are taken: four make way, each for another one."""
    urgent = [waiting(HIGH, since=number) for number in range(6)]
    pairs = chosen([*(at_work(since=10 + n) for n in range(4)), *urgent], worker(concurrency=4))
    assert [pair.waiting for pair in pairs] == urgent[:4]
    assert len({pair.victim.task_id for pair in pairs}) == 4


def test_nobody_makes_way_while_a_slot_is_free() -> None:
    """The urgent run takes the free one; only the second one needs a place."""
    busy = at_work()
    first, second = waiting(HIGH, since=1), waiting(HIGH, since=2)
    assert chosen([busy, first]) == []
    assert chosen([busy, first, second]) == [Preemption(busy, second)]


def test_those_who_make_way_already_are_counted() -> None:
    """Asked or cancelled a moment ago, a run will give its slot back; one that does not is not counted on for long."""
    for state in (RunState.RUNNING, RunState.CANCELLING):
        runs = [at_work(state=state, asked_at=NOW), at_work(since=2), waiting(HIGH)]
        assert victims(runs, after=1.9) == []
        assert victims(runs, after=2) == [runs[1]]


def test_the_lowest_and_youngest_goes_first() -> None:
    """It has the least claim to its slot, and loses the least."""
    normal, old, young = at_work(NORMAL, since=9), at_work(LOW, since=3), at_work(LOW, since=5)
    runs = [normal, old, young]
    urgent = [waiting(HIGH, since=20 + number) for number in range(3)]
    assert victims([*runs, *urgent[:1]], worker(concurrency=3)) == [young]
    assert victims([*runs, *urgent[:2]], worker(concurrency=3)) == [young, old]
    assert victims([*runs, *urgent], worker(concurrency=3)) == [young, old, normal]


def test_only_a_higher_level_preempts() -> None:
    """Normal preempts low; nobody preempts its own level or a higher one."""
    assert len(victims([at_work(LOW), at_work(LOW), waiting(NORMAL)])) == 1
    for running, level in ((NORMAL, NORMAL), (HIGH, NORMAL), (HIGH, HIGH), (LOW, LOW), (NORMAL, LOW)):
        assert victims([at_work(running), at_work(running), waiting(level)]) == []


def test_higher_levels_take_what_is_free_first() -> None:
    """One free slot goes to the high run; the normal one takes a low one's place, and not the other way round."""
    high, normal, low = waiting(HIGH), waiting(NORMAL), at_work(LOW)
    assert chosen([high, normal, low]) == [Preemption(low, normal)]


def test_a_worker_that_does_not_serve_the_level_does_not_count() -> None:
    """Its slots are of no use to the urgent run, free or not."""
    elsewhere = worker("lows@desk", queues=("low",), concurrency=4)
    here, there = at_work(), at_work(worker="lows@desk", since=9)
    assert victims([here, there, waiting(HIGH)], worker(concurrency=1), elsewhere) == [here]
    assert victims([there, waiting(HIGH)], elsewhere) == []


def test_a_slot_that_is_kept_for_the_level_is_taken_before_anybody_makes_way() -> None:
    """The urgent run has a worker of its own: what is free elsewhere, or will be, is for the normal one."""
    reserved = worker("urgent@desk", queues=("high",), concurrency=1)
    high, normal = waiting(HIGH, since=11), waiting(NORMAL, since=12)
    assert chosen([at_work(), high, normal], worker(), reserved) == []
    assert chosen([at_work(), at_work(asked_at=NOW), high, normal], worker(), reserved, after=1) == []
    low, lowest = at_work(since=1), at_work(since=2)
    assert chosen([low, lowest, high, normal], worker(), reserved) == [Preemption(lowest, normal)]


def test_an_aged_run_keeps_its_worker_for_a_slice() -> None:
    """It had its turn before urgent runs: as the lowest and youngest it would lose its slot to the next one at once."""
    aged = at_work(LOW, sent_level=HIGH)
    assert victims([aged, at_work(HIGH), waiting(HIGH)], after=0.9) == []
    assert victims([aged, at_work(HIGH), waiting(HIGH)], after=1) == [aged]


def test_a_resumed_run_keeps_its_worker_for_a_slice_and_after_its_limit_for_good() -> None:
    """Otherwise urgent runs would keep a long one from ever getting anywhere."""
    again, often = at_work(preemptions=1), at_work(preemptions=3)
    assert victims([again, often, waiting(HIGH)], after=0.9) == []
    assert victims([again, often, waiting(HIGH)], after=1) == [again]
    assert victims([often, at_work(HIGH), waiting(HIGH)], after=3600) == []


def test_a_run_that_must_not_be_cut_short_is_passed_over() -> None:
    """The next one is asked in its place."""
    trading, other = at_work(since=9), at_work(since=2)
    assert victims([trading, other, waiting(HIGH)], spared=[trading.task_id]) == [other]


LEVELS = st.sampled_from(Priority)
RUNNING = st.builds(
    at_work,
    LEVELS,
    since=st.integers(1, 50),
    preemptions=st.integers(0, 4),
    asked_at=st.none() | st.integers(0, 20).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    state=st.sampled_from([RunState.RUNNING, RunState.CANCELLING]),
    started_at=st.integers(0, 20).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)
WAITING = st.builds(waiting, LEVELS, since=st.integers(51, 99), sent_at=st.none() | st.just(NOW))


@given(running=st.lists(RUNNING, max_size=6), queued=st.lists(WAITING, max_size=6), slots=st.integers(1, 8))
def test_no_more_make_way_than_must_and_nobody_who_may_not(
    running: list[LiveRun], queued: list[LiveRun], slots: int
) -> None:
    """Whatever runs and waits: each victim is lower than whom it makes way for, eligible, and there is need."""
    pairs = chosen([*running, *queued], worker(concurrency=slots))
    assert len({pair.victim.task_id for pair in pairs}) == len(pairs)
    assert len({pair.waiting.task_id for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.victim.level.rank > pair.waiting.level.rank
        assert pair.victim.state is RunState.RUNNING
        assert pair.victim.asked_at is None
        assert pair.victim.preemptions < POLICY.limit
        assert pair.victim.worker == WORKER
    free = max(0, slots - len(running))
    assert len(pairs) <= max(0, sum(run.level is not LOW for run in queued) - free)
