"""The reconciler by hand, on a real log, a real Redis and messages that Celery sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest
import redis
import sqlalchemy as sa

from services.executor.app import create_app
from services.executor.dispatching import DISPATCHER, Dispatcher
from services.executor.pointers import CelerySender, message_id
from services.executor.policy import DispatchPolicy
from services.executor.reconciler import RedisScout
from services.executor.repair import Repair, Repaired, RepairError
from services.executor.settings import ExecutorSettings
from services.executor.store import LiveRunStore
from shared.domain.execution import WorkflowExecution
from shared.heartbeats import TTL, WORKERS_KEY, ActiveRun, WorkerHeartbeat, heartbeat_key
from shared.log.event_log import EventLog
from shared.routing import MAINTENANCE
from shared.settings import sqlalchemy_url
from tests.builders import WORKER, complete_all, stamp, submitted
from tests.unit.executor.bench import Clock


class Desk:
    """A log, a Redis, and a dispatcher that works when it is told to."""

    def __init__(self, log: EventLog, engine: sa.Engine, url: str) -> None:
        self.log = log
        self.redis = redis.Redis.from_url(url)
        self.clock = Clock()
        self.clock.forward(minutes=1)
        self._store = LiveRunStore(engine, DISPATCHER)
        self._scout = RedisScout(self.redis)
        settings = ExecutorSettings(database_url="postgresql://nobody@localhost/none", redis_url=url)
        self._sender = CelerySender(create_app(settings), self.redis)
        self._started_at = self.clock()
        self.in_hand: list[tuple[WorkflowExecution, int]] | None = None

    def save(self, *runs: WorkflowExecution) -> None:
        """Append what the runs have decided; no dispatcher hears of it yet."""
        for run in runs:
            self.log.save_execution(run)

    def dispatch(self, *, window: int = 20) -> None:
        """Let a dispatcher come, take in the log, send what it may, write it down and go."""
        policy = DispatchPolicy(window=window, max_losses=3)
        dispatcher = Dispatcher(self.log, self._store, self._sender, self._scout, policy, now=self.clock)
        position = dispatcher.start()
        if batch := self.log.read(position, topics=dispatcher.topics):
            dispatcher.process(batch)
        while not self._sent_all(dispatcher):
            pass

    def _sent_all(self, dispatcher: Dispatcher) -> bool:
        """Tick until nothing changes: the tick after the one that sent writes it down."""
        before = self._store.load()
        dispatcher.tick()
        dispatcher.tick()
        return before == self._store.load()

    def messages(self, *queues: str) -> list[str]:
        """The ids of the messages in these queues, in order of their arrival."""
        found = [raw for queue in queues or ("normal", "normal.resume") for raw in self.lying_in(queue)]
        return [msgspec.json.decode(raw)["headers"]["id"] for raw in found]

    def lying_in(self, queue: str) -> list[bytes]:
        """The messages of one queue as Redis has them, the newest first."""
        return cast(list[bytes], self.redis.lrange(queue, 0, -1))

    def beat(self) -> None:
        """Let WORKER say what it has in hand, if it lives."""
        if self.in_hand is None:
            return
        active = tuple(ActiveRun(task_id=run.id, attempt=attempt) for run, attempt in self.in_hand)
        beat = WorkerHeartbeat(
            name=WORKER,
            host="desk",
            pid=1,
            pool="prefork",
            concurrency=2,
            queues=("normal",),
            started_at=self._started_at,
            at=self.clock(),
            active=active,
        )
        self.redis.sadd(WORKERS_KEY, WORKER)
        self.redis.set(heartbeat_key(WORKER), msgspec.json.encode(beat), px=TTL)

    def repair(self, *, meanwhile: Callable[[], object] = lambda: None) -> Repaired:
        """Repair, with something that happens between the two looks."""

        def pause(duration: timedelta) -> None:
            self.clock.forward(seconds=duration.total_seconds())
            meanwhile()
            self.beat()

        self.beat()
        repair = Repair(self.log, self._store, self.redis, self._scout, self._sender, now=self.clock, pause=pause)
        return repair.run()


@pytest.fixture
def desk(migrated_database_url: str, redis_url: str) -> Iterator[Desk]:
    """A desk on an empty log and an empty Redis."""
    engine = sa.create_engine(sqlalchemy_url(migrated_database_url))
    with EventLog(migrated_database_url) as log:
        yield Desk(log, engine, redis_url)
    engine.dispose()


def later(desk: Desk) -> None:
    """Let the time pass in which a pointer may be on its way."""
    desk.clock.forward(seconds=10)


def done(repaired: Repaired) -> tuple[int, int, int]:
    """What was removed, sent again and told of."""
    return repaired.removed, repaired.resent, len(repaired.silent)


def test_a_sound_desk_is_left_as_it_is(desk: Desk) -> None:
    """Waiting, running and retrying runs are counted; no message is touched."""
    runs = [submitted() for _ in range(4)]
    desk.save(*runs)
    desk.dispatch()
    runs[0].claim(stamp(1), attempt=1, worker=WORKER)
    desk.save(runs[0])
    desk.redis.rpop("normal")
    desk.in_hand = [(runs[0], 1)]
    desk.dispatch()
    later(desk)
    before = desk.messages()
    repaired = desk.repair()
    assert done(repaired) == (0, 0, 0)
    assert (repaired.waiting, repaired.running, repaired.queued) == (3, 1, 3)
    assert repaired.position == desk.log.head()
    assert desk.messages() == before


def test_pointers_that_redis_lost_are_sent_again(desk: Desk) -> None:
    """All of them, each under its own id, into its own queue; a second repair finds nothing to do."""
    runs = [submitted() for _ in range(3)]
    desk.save(*runs)
    desk.dispatch()
    expected = desk.messages()
    later(desk)
    desk.redis.delete("normal")
    assert done(desk.repair()) == (0, 3, 0)
    assert sorted(desk.messages("normal")) == sorted(expected)
    assert done(desk.repair()) == (0, 0, 0)


def test_a_pointer_in_a_workers_hand_is_not_lost(desk: Desk) -> None:
    """It is in no queue, and its worker says that it has it."""
    run = submitted()
    desk.save(run)
    desk.dispatch()
    desk.redis.delete("normal")
    desk.in_hand = [(run, 1)]
    later(desk)
    assert done(desk.repair()) == (0, 0, 0)
    assert desk.messages() == []


def test_a_pointer_that_is_taken_between_the_looks_is_not_lost(desk: Desk) -> None:
    """It was in a queue before; that its worker has not spoken of it yet proves nothing."""
    run = submitted()
    desk.save(run)
    desk.dispatch()
    later(desk)
    assert done(desk.repair(meanwhile=lambda: desk.redis.delete("normal"))) == (0, 0, 0)


def test_messages_of_ended_runs_are_removed(desk: Desk) -> None:
    """By the log itself: no dispatcher has heard of the end yet. What waits beside them stays."""
    runs = [submitted() for _ in range(3)]
    desk.save(*runs)
    desk.dispatch()
    runs[0].request_cancel(stamp(2))
    runs[1].claim(stamp(2), attempt=1, worker=WORKER)
    complete_all(runs[1])
    desk.save(*runs[:2])
    repaired = desk.repair()
    assert (done(repaired), repaired.waiting) == ((2, 0, 0), 1)
    assert desk.messages() == [str(runs[2].id)]


def test_messages_of_attempts_that_are_over_are_removed(desk: Desk) -> None:
    """The first attempt's message is back in its queue after its worker was lost; the second attempt's stays."""
    run = submitted()
    desk.save(run)
    desk.dispatch()
    run.claim(stamp(2), attempt=1, worker=WORKER)
    run.lose_worker(stamp(3), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=3)
    desk.save(run)
    desk.dispatch()
    assert desk.messages() == [str(run.id), message_id(run.id, 2)]
    assert done(desk.repair()) == (1, 0, 0)
    assert desk.messages() == [message_id(run.id, 2)]


def test_a_second_message_of_a_running_attempt_is_removed(desk: Desk) -> None:
    """Nobody would be let claim it; the attempt that runs is not disturbed."""
    run = submitted()
    desk.save(run)
    desk.dispatch()
    run.claim(stamp(2), attempt=1, worker=WORKER)
    desk.save(run)
    desk.in_hand = [(run, 1)]
    repaired = desk.repair()
    assert (done(repaired), repaired.running) == ((1, 0, 0), 1)


def test_what_is_no_pointer_of_ours_is_left_alone(desk: Desk) -> None:
    """Maintenance, another task's message, and what is no message at all stay where they are."""
    others: dict[str, bytes] = {
        "high": b'{"headers": {"id": "x", "task": "somebody.elses"}}',
        "low": b"no message",
        "low.resume": b"[]",
        MAINTENANCE: b'{"headers": {"id": "y", "task": "executor.run"}}',
    }
    for queue, raw in others.items():
        desk.redis.rpush(queue, raw)
    assert done(desk.repair()) == (0, 0, 0)
    assert {queue: desk.lying_in(queue) for queue in others} == {q: [raw] for q, raw in others.items()}


def test_runs_whose_worker_is_gone_are_told_and_left_to_the_dispatcher(desk: Desk) -> None:
    """One worker has no heartbeat, the other lives and does not have the run any more; the log stays as it is."""
    orphan, dropped, held = submitted(), submitted(), submitted()
    orphan.claim(stamp(1), attempt=1, worker="executor@gone")
    dropped.claim(stamp(1), attempt=1, worker=WORKER)
    held.claim(stamp(1), attempt=1, worker=WORKER)
    desk.save(orphan, dropped, held)
    head = desk.log.head()
    desk.in_hand = [(held, 1)]
    repaired = desk.repair()
    told = {each.task_id: (each.worker, each.attempt) for each in repaired.silent}
    assert told == {orphan.id: ("executor@gone", 1), dropped.id: (WORKER, 1)}
    assert desk.log.head() == head


def test_runs_whose_turn_has_not_come_are_counted_only(desk: Desk) -> None:
    """The window lets two of five into Redis; the others are not sent past it."""
    desk.save(*(submitted() for _ in range(5)))
    desk.dispatch(window=2)
    later(desk)
    repaired = desk.repair()
    assert (done(repaired), repaired.waiting, repaired.unsent) == ((0, 0, 0), 5, 3)
    assert len(desk.messages()) == 2


def test_a_wipe_between_the_looks_is_not_judged(desk: Desk) -> None:
    """Nothing is done by what was seen before it."""
    desk.save(submitted())
    desk.dispatch()
    with pytest.raises(RepairError, match="Repair once more"):
        desk.repair(meanwhile=desk.redis.flushdb)


def test_without_redis_nothing_is_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to start or to correct."""

    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(desk.redis, "pipeline", away)
    with pytest.raises(RepairError, match="REDIS_URL"):
        desk.repair()
