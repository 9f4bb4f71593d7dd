"""Runs that their schedule holds: the dispatcher has them in mind, and sends none before it is released."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from services.executor.live_run import RunState
from services.executor.reconciling import Sighting
from shared.domain.execution import WorkflowExecution
from shared.heartbeats import ActiveRun
from tests.builders import failure, stamp, submitted
from tests.unit.executor.desk import POLICY, Desk
from tests.unit.executor.live_runs import WORKER, worker


def held(desk: Desk) -> WorkflowExecution:
    """Put a held run into the log."""
    run = submitted(held=True)
    desk.log.save_execution(run)
    return run


def test_a_held_run_is_sent_when_it_is_released() -> None:
    """Not before, whatever happens to the dispatcher meanwhile; its first attempt is number one."""
    desk = Desk()
    run = held(desk)
    desk.turn()
    desk.restart()
    desk.pass_by(5)
    assert desk.sender.sent == []
    run.release(stamp(6))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.sent == [(run.id, 1)]


def test_a_released_run_goes_before_those_that_came_later() -> None:
    """It has waited for its schedule already."""
    desk = Desk()
    run = held(desk)
    others = [desk.submit() for _ in range(3)]
    run.release(stamp(1))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.sent == [(each.id, 1) for each in (run, *others)]


def test_a_held_run_that_is_cancelled_is_forgotten() -> None:
    """It was never sent, and nothing has to be taken back."""
    desk = Desk()
    run = held(desk)
    desk.turn()
    run.request_cancel(stamp(1))
    desk.log.save_execution(run)
    desk.turn()
    assert (desk.sender.sent, desk.sender.withdrawn) == ([], [])
    assert desk.store.load()[1] == []


def test_a_held_run_that_goes_on_after_its_end_is_held_no_more() -> None:
    """Somebody asked for it by hand: it waits like any other."""
    desk = Desk()
    run = held(desk)
    run.request_cancel(stamp(1))
    run.retry_now(stamp(2))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.sent == [(run.id, 1)]


def test_what_is_ended_by_force_has_no_grace() -> None:
    """Its worker is told to end the child at once, also when it was told of a grace before."""
    desk = Desk()
    run = submitted()
    run.claim(stamp(), attempt=1, worker=WORKER)
    desk.log.save_execution(run)
    in_hand = (ActiveRun(task_id=run.id, attempt=1),)
    beat = msgspec.structs.replace(worker(concurrency=1), active=in_hand)
    desk.scout.sighting = Sighting(generation="one", workers={WORKER: beat}, queued=frozenset())
    run.request_cancel(stamp(1))
    desk.log.save_execution(run)
    desk.turn()
    run.request_cancel(stamp(2), force=True)
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.interrupted == [(run.id, 1, POLICY.cancel_grace), (run.id, 1, timedelta())]
    [live] = desk.store.load()[1]
    assert (live.state, live.forced) == (RunState.CANCELLING, True)


def test_a_run_that_was_ended_by_force_and_goes_on_has_its_grace_again() -> None:
    """Force belongs to the request, not to the run."""
    run = submitted()
    run.claim(stamp(), attempt=1, worker=WORKER)
    run.request_cancel(stamp(1), force=True)
    run.lose_worker(stamp(2), attempt=1, worker=WORKER, reason="killed", max_losses=3)
    run.retry_now(stamp(3))
    assert not run.forced
    run.claim(stamp(4), attempt=2, worker=WORKER)
    run.fail(stamp(5), attempt=2, failure=failure())
