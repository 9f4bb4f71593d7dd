"""Results after Redis has lost them, on a real Redis and a real log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import msgspec
import pytest
import redis
import sqlalchemy as sa

from services.executor import restoring
from services.executor.final_results import FinalResults
from services.executor.restoring import WHOLE, WHOLE_KEY
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output, OutputKind
from shared.domain.phases import CeleryState
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.objects.memory import MemoryObjectStore
from shared.result_backend import LONGEST_TTL, ResultMeta, decode_meta, result_key
from shared.settings import sqlalchemy_url
from tests.builders import (
    complete_all,
    complete_next,
    failure,
    order,
    outcome,
    running,
    stamp,
    submitted,
    waiting_for_retry,
)
from tests.unit.executor.bench import Clock
from tests.waiting import until


class Desk:
    """The follower of ends, driven by hand: its log, its Redis and its clock."""

    def __init__(self, log: EventLog, engine: sa.Engine, client: redis.Redis) -> None:
        self.log = log
        self.redis = client
        self.clock = Clock()
        self.objects = MemoryObjectStore()
        self._engine = engine
        self.restart()

    def restart(self) -> None:
        """Begin anew, with nothing in memory."""
        self.results = FinalResults(self.log, self._engine, self.redis, self.objects, now=self.clock)
        self._position = self.results.start()

    def save(self, *runs: WorkflowExecution) -> None:
        """Append what the runs have decided, and let the follower copy their ends."""
        for run in runs:
            self.log.save_execution(run)
        while batch := self.log.read(self._position, topics=self.results.topics):
            self.results.process(batch)
            self._position = batch[-1].position

    def wipe(self) -> None:
        """Lose all that Redis holds."""
        self.redis.flushdb()

    def tick(self) -> bool:
        """Let the follower's clock strike; tell whether it wants to go on at once."""
        wait = self.results.tick()
        assert wait is not None
        return not wait

    def look(self) -> int:
        """Let a second pass, and the follower restore all that it finds missing; return the number of ticks."""
        self.clock.forward(seconds=1)
        ticks = 1
        while self.tick():
            ticks += 1
        return ticks

    def state(self, run: WorkflowExecution) -> CeleryState | None:
        """What Redis says of a run, None when it says nothing."""
        return self.meta(run).status if self.redis.exists(result_key(str(run.id))) else None

    def meta(self, run: WorkflowExecution) -> ResultMeta:
        """What Redis says of a run, all of it."""
        data = self.redis.get(result_key(str(run.id)))
        assert isinstance(data, bytes)
        meta = decode_meta(data)
        assert meta is not None
        return meta

    def ttl(self, run: WorkflowExecution) -> float:
        """How many seconds the meta of a run has left."""
        left = self.redis.pttl(result_key(str(run.id)))
        assert isinstance(left, int)
        return left / 1000


@pytest.fixture
def desk(migrated_database_url: str, redis_url: str) -> Iterator[Desk]:
    """A desk on an empty log and an empty Redis, which has been looked at once."""
    engine = sa.create_engine(sqlalchemy_url(migrated_database_url))
    with EventLog(migrated_database_url) as log:
        desk = Desk(log, engine, redis.Redis.from_url(redis_url))
        desk.look()
        yield desk
    engine.dispose()


def succeeded(*, at: float = 10.0, ttl: float = 86_400.0) -> WorkflowExecution:
    """A run that has succeeded at a second, and whose result may be kept for so many."""
    run = running(result_ttl_seconds=ttl)
    complete_all(run, stamp(at))
    return run


def test_after_a_wipe_the_results_are_back_with_the_time_that_is_left(desk: Desk) -> None:
    """Ends of every kind are what they were; what has expired meanwhile stays away."""
    desk.clock.forward(seconds=100)
    success, short = succeeded(ttl=1_000.0), succeeded(ttl=200.0)
    failed, cancelled = running(), running()
    failed.fail(stamp(20), attempt=1, failure=failure())
    cancelled.request_cancel(stamp(20), reason="wrong day")
    cancelled.end_cancelled(stamp(21), attempt=1)
    desk.save(success, short, failed, cancelled)
    before = [desk.redis.get(result_key(str(run.id))) for run in (success, failed, cancelled)]
    desk.clock.forward(seconds=150)
    desk.wipe()
    desk.look()
    assert [desk.redis.get(result_key(str(run.id))) for run in (success, failed, cancelled)] == before
    assert None not in before
    assert 755 < desk.ttl(success) <= 760  # ended at 10 with 1,000 s to live, and now it is 251
    assert desk.state(short) is None


def test_what_has_not_ended_is_left_alone_but_for_retries(desk: Desk) -> None:
    """A run that waits for a retry says so again; one that has begun its next attempt is its worker's to tell of."""
    waiting, begun, fresh = waiting_for_retry(), waiting_for_retry(), submitted()
    begun.fall_due(stamp(3))
    begun.claim(stamp(4), attempt=2, worker="executor@test")
    desk.save(waiting, begun, fresh)
    desk.wipe()
    desk.look()
    assert (desk.state(waiting), desk.state(begun), desk.state(fresh)) == (CeleryState.RETRY, None, None)


def test_nothing_is_read_while_nothing_is_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its key in place, a look is one question to Redis, and the next is due in a second."""
    desk.save(succeeded())
    monkeypatch.setattr(desk.log, "read", lambda *_, **__: pytest.fail("the log was read"))
    assert desk.look() == 1
    desk.restart()
    desk.wipe()
    assert desk.redis.set(WHOLE_KEY, WHOLE)
    assert desk.look() == 1


def test_a_long_log_is_walked_in_pages_with_the_newest_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tick restores one page, so that new ends are copied in between."""
    monkeypatch.setattr(restoring, "PAGE", 10)
    runs = [succeeded() for _ in range(12)]
    desk.save(*runs)
    desk.wipe()
    desk.clock.forward(seconds=1)
    assert desk.tick()
    assert desk.state(runs[-1]) is CeleryState.SUCCESS
    assert desk.state(runs[0]) is None
    new = succeeded()
    desk.save(new)
    assert desk.state(new) is CeleryState.SUCCESS
    ticks = 1
    while desk.tick():
        ticks += 1
    assert ticks > 5
    assert {desk.state(run) for run in runs} == {CeleryState.SUCCESS}


@pytest.mark.parametrize("ticks", [1, 3, 9])
def test_a_wipe_in_the_middle_of_it_begins_it_again(desk: Desk, monkeypatch: pytest.MonkeyPatch, ticks: int) -> None:
    """What was restored before the second wipe is restored once more."""
    monkeypatch.setattr(restoring, "PAGE", 10)
    runs = [succeeded() for _ in range(12)]
    desk.save(*runs)
    desk.wipe()
    desk.clock.forward(seconds=1)
    for _ in range(ticks):
        desk.tick()
    desk.wipe()
    desk.look()
    assert {desk.state(run) for run in runs} == {CeleryState.SUCCESS}


def test_a_wipe_behind_the_last_look_is_not_taken_for_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis loses all between the last page and the word that all is there: the next look finds that out."""
    run = succeeded()
    desk.save(run)
    desk.wipe()
    read = desk.redis.mget

    def wiped_after(keys: list[str]) -> object:
        found = read(keys)
        desk.wipe()
        return found

    monkeypatch.setattr(desk.redis, "mget", wiped_after)
    desk.look()
    monkeypatch.undo()
    assert desk.redis.get(WHOLE_KEY) is None
    desk.wipe()
    desk.look()
    assert (desk.state(run), desk.redis.get(WHOLE_KEY)) == (CeleryState.SUCCESS, WHOLE)


def test_a_process_that_died_in_the_middle_is_made_up_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one finds the key of an unfinished walk, and walks from the head again."""
    monkeypatch.setattr(restoring, "PAGE", 10)
    runs = [succeeded() for _ in range(12)]
    desk.save(*runs)
    desk.wipe()
    desk.clock.forward(seconds=1)
    desk.tick()
    desk.restart()
    desk.look()
    assert {desk.state(run) for run in runs} == {CeleryState.SUCCESS}


def test_the_walk_ends_where_nothing_can_be_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are older than the longest time to live are not read."""
    monkeypatch.setattr(restoring, "PAGE", 10)
    desk.save(*(succeeded() for _ in range(20)))
    desk.clock.forward(seconds=LONGEST_TTL.total_seconds() + 3_600)
    late = submitted(at=stamp(LONGEST_TTL.total_seconds()))
    late.claim(stamp(LONGEST_TTL.total_seconds()), attempt=1, worker="executor@test")
    complete_all(late, stamp(LONGEST_TTL.total_seconds()))
    desk.save(late)
    desk.wipe()
    assert desk.look() <= 3
    assert (desk.state(late), desk.redis.get(WHOLE_KEY)) == (CeleryState.SUCCESS, WHOLE)


def test_a_result_whose_time_is_over_costs_one_event(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most runs of a long log are such; only the others are folded."""
    over, lasting = succeeded(ttl=60.0), succeeded()
    desk.save(over, lasting)
    desk.clock.forward(minutes=5)
    desk.wipe()
    fold, folded = desk.log.execution, []

    def folding(task_id: UUID, *, until: int | None = None) -> WorkflowExecution:
        folded.append(task_id)
        return fold(task_id, until=until)

    monkeypatch.setattr(desk.log, "execution", folding)
    desk.look()
    assert folded == [lasting.id]


def test_progress_that_came_late_does_not_stand_in_for_an_end(desk: Desk) -> None:
    """A meta that says STARTED of a run that has ended is replaced."""
    run = succeeded()
    desk.save(run)
    desk.wipe()
    desk.redis.set(
        result_key(str(run.id)),
        b'{"task_id": "%s", "status": "STARTED", "result": null, "attempt": 1, "sequence": 7}' % str(run.id).encode(),
    )
    desk.look()
    assert desk.state(run) is CeleryState.SUCCESS


def test_an_order_that_is_settled_after_the_end_leaves_the_end_where_it_was(desk: Desk) -> None:
    """Time to live and time of the end are those of the end, whatever came later."""
    run = running(result_ttl_seconds=1_000.0)
    key = {"step": "load", "symbol": None, "order": order()}
    run.request_order(stamp(2), attempt=1, client_order_id="o-1", **key)  # type: ignore[arg-type]
    run.fail(stamp(10), attempt=1, failure=failure())
    desk.save(run)
    first = desk.meta(run)
    run.resolve_order(stamp(500), client_order_id="o-1", outcome=outcome())
    desk.save(run)
    desk.clock.forward(seconds=600)
    desk.wipe()
    desk.look()
    again = desk.meta(run)
    assert msgspec.structs.replace(again, sequence=first.sequence) == first
    assert again.sequence > first.sequence
    assert 405 < desk.ttl(run) <= 410


def test_a_result_that_the_object_store_has_lost_does_not_hold_up_the_others(desk: Desk) -> None:
    """It is left out and logged; the runs before and behind it are copied, at once and after a wipe."""
    ref = desk.objects.put(b"[1]", media_type="application/json")
    lost = running()
    while lost.next_position() is not None:
        complete_next(lost, stamp(2))
    lost.succeed(stamp(3), attempt=1, result=Output(ref=ref, kind=OutputKind.JSON))
    desk.objects = MemoryObjectStore()
    desk.restart()
    first, last = succeeded(), succeeded()
    for _ in range(2):
        desk.save(first, lost, last)
        assert [desk.state(run) for run in (first, lost, last)] == [CeleryState.SUCCESS, None, CeleryState.SUCCESS]
        desk.wipe()
        desk.look()
    assert desk.state(last) is CeleryState.SUCCESS


def test_a_redis_that_does_not_answer_is_asked_again_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The follower does not fail over it, and restores what was lost as soon as it can."""
    run = succeeded()
    desk.save(run)
    desk.wipe()

    def away(*_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(desk.redis, "get", away)
    assert desk.look() == 1
    monkeypatch.undo()
    desk.look()
    assert desk.state(run) is CeleryState.SUCCESS


def test_a_follower_at_work_restores_within_seconds(desk: Desk, migrated_database_url: str) -> None:
    """Nobody drives it: after FLUSHALL, fifty results are back."""
    runs = [succeeded() for _ in range(50)]
    desk.save(*runs)
    stop = threading.Event()
    follower = Follower(desk.log, migrated_database_url, desk.results)
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        assert follower.active.wait(10)
        desk.wipe()
        desk.clock.forward(seconds=1)
        until(lambda: all(desk.state(run) is CeleryState.SUCCESS for run in runs))
    finally:
        stop.set()
        thread.join()
