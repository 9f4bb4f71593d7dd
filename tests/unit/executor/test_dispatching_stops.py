"""What the dispatcher does to have running runs stop: in the log, and by interrupts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from services.executor.pressing import FORCE_WITHIN, REMIND_AFTER
from services.executor.reconciling import Sighting
from shared.domain.catalogue import StepDescription, StepEffect
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.heartbeats import ActiveRun
from tests.builders import complete_next, stamp, submitted
from tests.unit.executor.desk import POLICY, Desk
from tests.unit.executor.live_runs import WORKER, worker

TRADE = StepDescription(name="trade", effect=StepEffect.ORDERS, preemptible=False)


def see(desk: Desk, *active: WorkflowExecution, concurrency: int = 1) -> None:
    """Have Redis show one worker that has these runs in hand."""
    in_hand = tuple(ActiveRun(task_id=run.id, attempt=run.attempts) for run in active)
    beat = msgspec.structs.replace(worker(concurrency=concurrency), active=in_hand)
    desk.scout.sighting = Sighting(generation="one", workers={WORKER: beat}, queued=frozenset())


def begin(desk: Desk, level: Priority = Priority.LOW, **changes: Any) -> WorkflowExecution:
    """Put a run into the log that the worker has."""
    run = submitted(priority=level, **changes)
    run.claim(stamp(), attempt=1, worker=WORKER)
    desk.log.save_execution(run)
    return run


def urgent(desk: Desk) -> WorkflowExecution:
    """Put a high run into the log."""
    run = submitted(priority=Priority.HIGH)
    desk.log.save_execution(run)
    return run


def asked_for(desk: Desk, run: WorkflowExecution) -> str | None:
    """For whom a run was asked to make way."""
    return desk.log.execution(run.id).yields_to


def test_a_run_is_asked_to_make_way_in_the_log_and_interrupted() -> None:
    """Once: until it has done so it counts as one that will."""
    desk = Desk()
    low = begin(desk)
    see(desk, low)
    high = urgent(desk)
    desk.turn()
    desk.turn()

    assert asked_for(desk, low) == str(high.id)
    assert desk.sender.interrupted == [(low.id, 1, None)]
    assert [event.TOPIC for event in desk.log.stream(low.id)].count("execution.preemption_requested") == 1


def test_nobody_makes_way_when_a_worker_has_come_since_the_last_look() -> None:
    """It is not known yet, and has a slot: whoever is about to be asked is spared."""
    desk = Desk()
    low = begin(desk)
    see(desk, low)
    desk.turn()
    known = desk.scout.sighting
    assert known is not None
    desk.scout.sighting = msgspec.structs.replace(known, workers={**known.workers, "new": worker("new", concurrency=1)})
    first, second = urgent(desk), urgent(desk)
    desk.turn()

    assert asked_for(desk, low) == str(second.id)
    assert [run for run, _ in desk.sender.sent] == [first.id, second.id]


def test_nobody_is_asked_to_make_way_while_redis_does_not_answer() -> None:
    """Which slots there are is not known then."""
    desk = Desk()
    low = begin(desk)
    see(desk, low)
    desk.turn()
    desk.scout.sighting = None
    urgent(desk)
    desk.turn()
    assert asked_for(desk, low) is None

    see(desk, low)
    desk.pass_by(1)
    assert asked_for(desk, low) is not None


def test_a_run_in_a_step_that_trades_is_spared_and_another_one_asked() -> None:
    """The log knows which step comes next; the youngest is passed over for the one that may be cut short."""
    desk = Desk()
    other, trading = begin(desk), begin(desk, steps=(TRADE,))
    see(desk, other, trading, concurrency=2)
    high = urgent(desk)
    desk.turn()

    assert (asked_for(desk, trading), asked_for(desk, other)) == (None, str(high.id))


def test_a_preempted_run_waits_at_the_head_of_its_level() -> None:
    """It is sent with its next attempt, before others of its level, and after the one that it made way for."""
    desk = Desk()
    low = begin(desk)
    see(desk, low)
    later, high = submitted(priority=Priority.LOW), urgent(desk)
    desk.log.save_execution(later)
    desk.turn()
    desk.sender.sent.clear()
    preempted = desk.log.execution(low.id)
    complete_next(preempted, stamp(2))
    preempted.make_way(stamp(2), attempt=1)
    desk.log.save_execution(preempted)
    desk.turn()

    assert desk.sender.sent == [(low.id, 2)]
    (row,) = [run for run in desk.store.load()[1] if run.task_id == low.id]
    assert (row.resumed, row.preemptions, row.spent_seconds, row.asked_at) == (True, 1, 2.0, None)
    assert high.id not in [task_id for task_id, _ in desk.sender.sent]


def test_nobody_is_asked_while_redis_is_away() -> None:
    """Without heartbeats nobody knows of a slot; it is done when they are back."""
    desk = Desk()
    low = begin(desk)
    high = urgent(desk)
    desk.turn()
    assert asked_for(desk, low) is None
    see(desk, low)
    desk.clock.forward(seconds=1)
    desk.turn()
    assert asked_for(desk, low) == str(high.id)


def test_a_cancelled_run_is_interrupted_until_it_stops() -> None:
    """Each second, with the grace after which its child is ended; after a restart at once."""
    desk = Desk()
    run = begin(desk)
    see(desk, run)
    run.request_cancel(stamp(1))
    desk.log.save_execution(run)
    desk.turn()
    desk.turn()
    assert desk.sender.interrupted == [(run.id, 1, POLICY.cancel_grace)]
    desk.clock.forward(seconds=REMIND_AFTER.total_seconds())
    desk.turn()
    assert len(desk.sender.interrupted) == 2
    desk.restart()
    desk.turn()
    assert len(desk.sender.interrupted) == 3
    run.end_cancelled(stamp(2), attempt=1)
    desk.log.save_execution(run)
    desk.clock.forward(seconds=10)
    desk.turn()
    assert len(desk.sender.interrupted) == 3


def test_a_cancelled_run_whose_worker_keeps_it_is_ended_without_it() -> None:
    """Past the grace and the time for force, its attempt is over in the log; what it brings later is refused."""
    desk = Desk()
    run = begin(desk)
    see(desk, run)
    run.request_cancel(stamp())
    desk.log.save_execution(run)
    desk.turn()
    desk.clock.forward(seconds=(POLICY.cancel_grace + FORCE_WITHIN + timedelta(seconds=1)).total_seconds())
    desk.turn()

    assert desk.log.execution(run.id).phase is Phase.CANCELLED


def test_a_run_that_was_cancelled_while_nobody_was_there_is_interrupted_first() -> None:
    """The dispatcher was away, then Redis is: its slot would be taken for ever if it were given up untold."""
    desk = Desk()
    run = begin(desk)
    see(desk, run)
    desk.turn()
    run.request_cancel(stamp())
    desk.log.save_execution(run)
    desk.clock.forward(seconds=60)
    desk.restart()
    sighting, desk.scout.sighting = desk.scout.sighting, None
    desk.turn()
    desk.clock.forward(seconds=60)
    desk.turn()
    assert (desk.log.execution(run.id).phase, desk.sender.interrupted) == (Phase.CANCELLING, [])
    desk.scout.sighting = sighting
    desk.clock.forward(seconds=1)
    desk.turn()
    assert desk.sender.interrupted == [(run.id, 1, POLICY.cancel_grace)]
    assert desk.log.execution(run.id).phase is Phase.CANCELLING


def test_a_run_past_its_time_whose_worker_keeps_it_fails_without_it() -> None:
    """The last resort: neither its own timer nor its worker's limit has ended it."""
    desk = Desk()
    run = begin(desk, timeout_seconds=30.0)
    see(desk, run)
    desk.turn()
    desk.clock.forward(seconds=41)
    desk.turn()

    failure = desk.log.execution(run.id).failure
    assert failure is not None
    assert failure.failure.timed_out


def test_the_pointer_of_a_cancelled_run_is_taken_back() -> None:
    """It was in Redis; one that was not sent yet, or is at work, has none there."""
    desk = Desk()
    waiting = [desk.submit() for _ in range(POLICY.window + 1)]
    desk.turn()
    for run in (waiting[0], waiting[-1]):
        run.request_cancel(stamp(1))
        desk.log.save_execution(run)
    desk.turn()
    desk.turn()

    assert desk.sender.withdrawn == [waiting[0].id]
