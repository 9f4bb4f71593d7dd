"""The dispatcher between log, store and queue: what it commits, what it sends, and in which order."""

from datetime import timedelta

import pytest

from services.executor.live_run import LiveRun
from services.executor.pointers import arguments, message_id
from services.executor.reconciling import Sighting
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.heartbeats import ActiveRun, WorkerHeartbeat
from tests.builders import NOW, stamp
from tests.unit.executor.desk import Desk, RedisAway


def test_a_submitted_run_is_sent_once() -> None:
    """Another turn without news sends nothing."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    desk.turn()

    assert desk.sender.sent == [(run.id, 1)]


def test_a_crash_before_the_mark_repeats_a_pointer_and_loses_none() -> None:
    """What was sent and not yet written down is sent again; what was written down is not."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    desk.restart()
    desk.turn()
    desk.turn()
    desk.restart()
    desk.turn()

    assert desk.sender.sent == [(run.id, 1)] * 2


def test_a_queue_that_is_away_loses_nothing() -> None:
    """The run is committed, and sent when the queue is back."""
    desk = Desk()
    run = desk.submit()
    desk.sender.away = True
    with pytest.raises(RedisAway):
        desk.turn()
    desk.sender.away = False
    desk.restart()
    desk.turn()

    assert desk.sender.sent == [(run.id, 1)]


def test_a_retry_falls_due_in_the_log_and_is_sent_as_the_next_attempt() -> None:
    """The dispatcher sleeps until the due time, appends RetryDue, and sends attempt 2."""
    desk = Desk()
    run = desk.submit()
    desk.fail_with_retry(run, due_in=4)
    desk.turn()
    desk.clock.forward(seconds=3.99)
    assert desk.turn() == timedelta(seconds=0.01)
    assert desk.log.execution(run.id).phase is Phase.RETRY_WAIT

    desk.clock.forward(seconds=0.01)
    desk.turn()
    assert desk.log.execution(run.id).phase is Phase.RETRY_DUE
    desk.turn()

    assert desk.sender.sent == [(run.id, 2)]


def test_a_retry_survives_a_restart() -> None:
    """The due time stands in the store, not in anybody's memory."""
    desk = Desk()
    run = desk.submit()
    desk.fail_with_retry(run, due_in=4)
    desk.turn()
    desk.restart()
    desk.clock.forward(seconds=5)
    desk.turn()

    assert desk.log.execution(run.id).phase is Phase.RETRY_DUE


def test_a_retry_that_was_cancelled_meanwhile_is_left_alone() -> None:
    """A cancellation that the dispatcher has not read yet wins over the due time."""
    desk = Desk()
    run = desk.submit()
    desk.fail_with_retry(run, due_in=4)
    desk.turn()
    run.request_cancel(stamp(1))
    desk.log.save_execution(run)
    desk.clock.forward(seconds=4)
    desk.dispatcher.tick()

    assert desk.log.execution(run.id).phase is Phase.CANCELLED
    desk.turn()
    assert desk.sender.sent == []


def test_a_pointer_says_what_people_look_for() -> None:
    """The message bears the task, its attempt, strategy, symbols, priority and user; its id is the task's own."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    (live,) = desk.store.load()[1]

    assert arguments(live) == {
        "task_id": str(run.id),
        "attempt": 1,
        "strategy_id": "sma-crossover",
        "symbols": ["AAPL", "MSFT"],
        "priority": "normal",
        "user_id": "ada",
    }
    assert message_id(run.id, 1) == str(run.id)
    assert len({message_id(run.id, attempt) for attempt in (1, 2, 3)}) == 3


def sighting(*active: LiveRun, generation: str = "one") -> Sighting:
    """A Redis without messages, and with one worker if it has something in hand."""
    beat = WorkerHeartbeat(
        name="w",
        host="h",
        pid=1,
        pool="prefork",
        concurrency=2,
        queues=(),
        started_at=NOW,
        at=NOW,
        active=tuple(ActiveRun(task_id=run.task_id, attempt=run.attempt) for run in active),
    )
    return Sighting(generation=generation, workers={"w": beat} if active else {}, queued=frozenset())


def lose_once(desk: Desk, run: WorkflowExecution) -> None:
    """Have the run claimed by a worker that is never heard of again, until the dispatcher says so."""
    attempt = desk.log.execution(run.id).attempts + 1
    execution = desk.log.execution(run.id)
    execution.claim(stamp(), attempt=attempt, worker="gone")
    desk.log.save_execution(execution)
    for _ in range(4):
        desk.turn()
        desk.clock.forward(seconds=2)
    desk.turn()


def test_a_run_whose_worker_is_gone_goes_on_at_the_head_of_its_level() -> None:
    """WorkerLost stands in the log, and the next attempt overtakes what waits already."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    desk.scout.sighting = sighting()
    lose_once(desk, run)

    assert desk.log.execution(run.id).phase is Phase.LOST
    assert desk.sender.sent[-1] == (run.id, 2)


def test_a_run_that_kills_its_worker_again_and_again_fails() -> None:
    """At the second loss without a step in between, here: FAILURE with its history, and nothing is sent any more."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    desk.scout.sighting = sighting()
    lose_once(desk, run)
    lose_once(desk, run)

    execution = desk.log.execution(run.id)
    assert execution.phase is Phase.FAILED
    assert execution.failure is not None
    assert execution.failure.failure.type == "worker_lost"
    assert desk.sender.sent == [(run.id, 1), (run.id, 2)]


def test_a_run_that_is_cancelled_when_its_worker_dies_is_cancelled() -> None:
    """Nobody sends it again."""
    desk = Desk()
    run = desk.submit()
    desk.turn()
    execution = desk.log.execution(run.id)
    execution.claim(stamp(), attempt=1, worker="gone")
    execution.request_cancel(stamp())
    desk.log.save_execution(execution)
    desk.scout.sighting = sighting()
    for _ in range(4):
        desk.turn()
        desk.clock.forward(seconds=2)

    assert desk.log.execution(run.id).phase is Phase.CANCELLED
    assert desk.sender.sent == [(run.id, 1)]


def test_a_wiped_redis_loses_no_pointer() -> None:
    """With the new generation every pointer that was out is sent again at once, with the same attempt."""
    desk = Desk()
    run = desk.submit()
    desk.scout.sighting = sighting()
    desk.turn()
    desk.scout.sighting = sighting(generation="two")
    desk.clock.forward(seconds=1)
    desk.turn()
    desk.turn()

    assert desk.sender.sent == [(run.id, 1)] * 2
