"""The dispatcher and runs whose steps run side by side: what it sends together, wakes, closes and ends."""

from __future__ import annotations

import pytest

from services.executor.dispatching import JOIN_GRACE
from services.executor.pointers import arguments, message_id
from shared.domain.catalogue import OnError
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from tests.builders import (
    PARALLEL_PLAN,
    complete_member,
    complete_next,
    fail_member,
    failure,
    open_stage,
    outcome,
    parallel_plan,
    retry_member,
    running,
    stamp,
    submitted,
    with_order,
)
from tests.unit.executor.bench import MeddlingLog
from tests.unit.executor.desk import POLICY, Desk, RedisAway, pointers, taken
from tests.unit.executor.live_runs import SYMBOLS


def test_members_of_a_stage_are_sent_in_one_call() -> None:
    """And those of another stage, and main lines, in calls of their own."""
    desk, plan = Desk(), parallel_plan(max_parallel=3)
    first, second, plain = desk.opened(steps=plan), desk.opened(steps=plan), desk.submit()
    desk.turn()
    assert desk.sender.calls == [pointers(first, *SYMBOLS[:3]), pointers(second, *SYMBOLS[:3]), [(plain.id, 1)]]


def test_a_member_that_comes_later_is_sent_then() -> None:
    """With the window full, or no place left for it: alone, when another one has been taken or has ended."""
    desk = Desk()
    run = desk.opened(steps=parallel_plan(max_parallel=2))
    desk.turn()
    assert desk.sender.calls == [pointers(run, "AAPL", "GOOG")]
    taken(run, "AAPL", 4)
    desk.log.save_execution(run)
    desk.turn()
    assert len(desk.sender.calls) == 1
    complete_member(run, "AAPL", stamp(5))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.calls[1:] == [pointers(run, "IBM")]


def test_a_crash_before_the_mark_repeats_the_pointers_of_a_stage_and_loses_none() -> None:
    """What was sent and not yet written down is sent again."""
    desk = Desk()
    desk.see()
    desk.turn()
    run = desk.opened()
    desk.turn()
    desk.restart()
    desk.scout.sighting = None
    desk.turn()
    assert {sent for call in desk.sender.calls for sent in call} == set(pointers(run, *SYMBOLS))


def test_whoever_may_have_been_sent_keeps_its_place() -> None:
    """Redis answered too late, and its pointer may be there: nobody else has the place after a restart."""
    desk, limits = Desk(), {"venue": 1}
    low = submitted(priority=Priority.LOW, limits=limits)
    desk.log.save_execution(low)
    desk.sender.away = True
    with pytest.raises(RedisAway):
        desk.turn()
    desk.sender.away = False
    desk.log.save_execution(submitted(priority=Priority.HIGH, limits=limits))
    desk.restart()
    desk.turn()
    assert desk.sender.sent == [(low.id, 1)]


def test_a_pointer_of_a_member_says_what_people_look_for() -> None:
    """Its run and strategy, and of the branch itself what a worker needs to claim it."""
    desk = Desk()
    run = desk.opened()
    desk.turn()
    live = next(row for row in desk.store.load()[1] if row.symbol == "AAPL")
    branch = run.members["analyse", "AAPL"]
    assert arguments(live) == {
        "task_id": str(run.id),
        "attempt": 1,
        "branch": {"id": str(branch.id), "opening": 1, "step": "analyse", "symbol": "AAPL"},
        "strategy_id": "sma-crossover",
        "symbols": ["AAPL"],
        "priority": "normal",
        "user_id": "ada",
    }
    ids = {message_id(branch.id, 1), message_id(branch.id, 2), message_id(run.id, 1), message_id(run.id, 2)}
    assert (message_id(branch.id, 1), len(ids)) == (str(branch.id), 4)


def test_a_retry_of_a_member_falls_due_in_the_log_and_is_sent_as_its_next_attempt() -> None:
    """The others are at work meanwhile."""
    desk = Desk()
    run = desk.opened()
    retry_member(run, "AAPL", stamp(4), due_in=6)
    desk.log.save_execution(run)
    desk.turn()
    desk.clock.forward(seconds=10)
    desk.turn()
    assert desk.member(run, "AAPL").phase is Phase.RETRY_DUE
    for symbol in SYMBOLS[1:]:
        complete_member(run, symbol, stamp(10))
        desk.log.save_execution(run)
        desk.turn()
    assert desk.sender.sent[-1] == pointers(run, "AAPL", attempt=2)[0]


def trading() -> WorkflowExecution:
    """A run at work that has an order at the venue."""
    run = with_order(running(steps=PARALLEL_PLAN), "order", stamp(1))
    run.settle_order(stamp(1), attempt=1, client_order_id="order", outcome=outcome())
    return run


def fill(desk: Desk, run: WorkflowExecution) -> None:
    """Have the venue fill it; its run goes on, or waits, as before."""
    now = desk.log.execution(run.id)
    filled = outcome(state="filled", filled_quantity="10")
    now.follow_order(stamp(5), client_order_id="order", outcome=filled)
    desk.log.save_execution(now)


def test_a_retry_of_a_member_falls_due_although_its_run_moves_on_at_that_moment() -> None:
    """An order of an earlier step is filled between reading and writing: nobody else would ever wake the member."""
    log = MeddlingLog()
    desk = Desk(log)
    run = trading()
    complete_next(run, stamp(2))
    open_stage(run, stamp(3))
    retry_member(run, "AAPL", stamp(4), due_in=6)
    desk.log.save_execution(run)
    desk.turn()
    log.before_append["branch.retry_due"] = lambda: fill(desk, run)
    desk.clock.forward(seconds=10)
    desk.turn()
    assert desk.member(run, "AAPL").phase is Phase.RETRY_DUE


def test_a_retry_of_a_run_falls_due_although_an_order_moves_at_that_moment() -> None:
    """The same for its main line."""
    log = MeddlingLog()
    desk = Desk(log)
    run = trading()
    at, due_at = stamp(2), stamp(4).at
    run.schedule_retry(at, attempt=1, step="load", symbol=None, failure=failure(), started_at=at.at, due_at=due_at)
    desk.log.save_execution(run)
    desk.turn()
    log.before_append["execution.retry_due"] = lambda: fill(desk, run)
    desk.clock.forward(seconds=4)
    desk.turn()
    assert desk.log.execution(run.id).phase is Phase.RETRY_DUE


def test_a_retry_whose_run_was_cancelled_meanwhile_is_left_alone() -> None:
    """A cancellation that the dispatcher has not read yet wins over the due time."""
    desk = Desk()
    run = desk.opened()
    retry_member(run, "AAPL", stamp(4), due_in=6)
    desk.log.save_execution(run)
    desk.turn()
    run.request_cancel(stamp(5))
    desk.log.save_execution(run)
    desk.clock.forward(seconds=10)
    desk.dispatcher.tick()
    assert (desk.member(run, "AAPL").phase, desk.log.execution(run.id).phase) == (Phase.RETRY_WAIT, Phase.CANCELLED)


def test_a_stage_whose_last_worker_died_before_the_join_is_closed_after_a_grace() -> None:
    """Its members have all ended; the grace is counted from when the dispatcher has seen that, and the run goes on."""
    desk = Desk()
    run = desk.opened()
    for symbol in SYMBOLS:
        complete_member(run, symbol, stamp(5))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.log.execution(run.id).phase is Phase.AT_JOIN
    desk.pass_by(JOIN_GRACE.total_seconds() + 0.3)
    assert desk.log.execution(run.id).phase is Phase.JOINED
    desk.turn()
    assert desk.sender.sent[-1] == (run.id, 2)


def test_a_stage_that_its_last_worker_closes_is_left_alone() -> None:
    """Within the grace the worker did it; the dispatcher's own look comes too late, and says nothing."""
    desk = Desk()
    run = desk.opened()
    for symbol in SYMBOLS:
        complete_member(run, symbol, stamp(5))
    desk.log.save_execution(run)
    desk.turn()
    run.settle_stage(stamp(5))
    desk.log.save_execution(run)
    desk.pass_by(1)
    assert [event.TOPIC for event in desk.log.stream(run.id)].count("execution.stage_closed") == 1


def test_a_cancelled_run_whose_last_member_died_before_it_ended_it_is_cancelled() -> None:
    """The member has closed, and nobody was there to end the run."""
    desk = Desk()
    run = desk.opened()
    branch = taken(run, "AAPL", 4)
    run.request_cancel(stamp(5))
    branch.close(stamp(6), attempt=1, reason="cancelled")
    desk.log.save_execution(run)
    desk.turn()
    assert desk.log.execution(run.id).phase is Phase.CANCELLING
    desk.pass_by(1)
    assert desk.log.execution(run.id).phase is Phase.CANCELLED


def test_a_run_out_of_time_in_its_stage_is_ended() -> None:
    """Counted is when members are at work, overlapping ones once; those at work then are told to stop."""
    desk = Desk()
    run = desk.opened(timeout_seconds=12.0)  # two of them went by before the stage
    first, second = taken(run, "AAPL", 0), taken(run, "IBM", 4)
    desk.log.save_execution(run)
    desk.see(first, second)
    desk.turn()
    desk.pass_by(9.75)
    assert desk.log.execution(run.id).phase is Phase.AT_JOIN
    desk.pass_by(0.25)
    failed = desk.log.execution(run.id).failure
    assert failed is not None
    assert (failed.failure.timed_out, failed.step) == (True, None)
    desk.turn()
    assert {stream for stream, _, _ in desk.sender.interrupted} == {first.id, second.id}
    assert {grace for _, _, grace in desk.sender.interrupted} == {POLICY.cancel_grace}


def test_a_run_whose_members_all_wait_has_all_the_time_in_the_world() -> None:
    """Waiting is unlimited."""
    desk = Desk()
    run = desk.opened(timeout_seconds=12.0)
    retry_member(run, "AAPL", stamp(4), due_in=9999)
    desk.log.save_execution(run)
    desk.see()
    desk.turn()
    desk.clock.forward(hours=1)
    desk.pass_by(1)
    assert desk.log.execution(run.id).phase is Phase.AT_JOIN


def test_what_is_full_is_told() -> None:
    """For people who ask why their runs wait."""
    desk = Desk()
    desk.opened(steps=parallel_plan(max_parallel=4, limits={"venue:test": 1}))
    desk.opened(steps=parallel_plan(max_parallel=1))
    desk.turn()
    assert desk.sender.full == ["venue:test"]


def test_a_run_that_lives_on_is_sent_with_its_next_attempt() -> None:
    """What it was submitted as is read from the log."""
    desk = Desk()
    run = desk.opened(steps=parallel_plan(on_error=OnError.FAIL))
    fail_member(run, "AAPL", stamp(4))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.store.load()[1] == []
    run.retry_now(stamp(5))
    desk.log.save_execution(run)
    desk.turn()
    assert desk.sender.sent[-1] == (run.id, 2)


def test_pointers_of_members_are_taken_back_when_their_run_ends() -> None:
    """Those in Redis."""
    desk = Desk()
    run = desk.opened(steps=parallel_plan(max_parallel=2))
    desk.turn()
    run.request_cancel(stamp(4))
    desk.log.save_execution(run)
    desk.turn()
    assert sorted(desk.sender.withdrawn) == sorted(stream for stream, _ in pointers(run, "AAPL", "GOOG"))
    assert desk.store.load()[1] == []
