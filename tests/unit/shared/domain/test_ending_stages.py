"""Runs that end while they wait at a join: cancelled with the last branch at work, or failed with the first."""

from __future__ import annotations

import pytest

from shared.domain.catalogue import OnError
from shared.domain.errors import Refused
from shared.domain.execution_events import Cancelled, CancelRequested
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.views import task_view
from tests.builders import (
    WORKER,
    at_join,
    claimed,
    complete_member,
    fail_member,
    failure,
    joined,
    parallel_plan,
    retry_member,
    stamp,
)

STRICT = parallel_plan(on_error=OnError.FAIL)


def test_a_run_at_a_join_whose_members_all_wait_is_cancelled_at_once() -> None:
    """For a first start, for a retry, or for another worker: nobody is there to obey."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"))
    retry_member(run, "MSFT", stamp(4))
    branch = claimed(run, "IBM", stamp(4))
    branch.lose_worker(stamp(5), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=3)
    run.collect_events()
    run.request_cancel(stamp(6), reason="wrong symbols")
    assert [type(event) for event in run.collect_events()] == [CancelRequested, Cancelled]
    assert (run.phase, run.in_stage, task_view(run).next_retry_at) == (Phase.CANCELLED, False, None)


def test_the_last_branch_at_work_cancels_a_run_that_is_being_cancelled() -> None:
    """One finishes what it has, the other stops; those that wait never start. What is done is kept."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"))
    first, second = claimed(run, "AAPL", stamp(4)), claimed(run, "MSFT", stamp(4))
    run.request_cancel(stamp(5))
    assert (run.phase, run.in_stage) == (Phase.CANCELLING, True)
    complete_member(run, "AAPL", stamp(6), 1)
    with pytest.raises(Refused):
        run.settle_stage(stamp(6))
    second.close(stamp(7), attempt=1, reason="its task is being cancelled")
    run.collect_events()
    run.settle_stage(stamp(7))
    assert [type(event) for event in run.collect_events()] == [Cancelled]
    assert (run.phase, run.in_stage, run.finished_at) == (Phase.CANCELLED, False, stamp(7).at)
    assert (first.phase, run.steps["analyse", "AAPL"].output) == (Phase.SUCCEEDED, Output(inline=1))
    assert task_view(run).partial_result == {
        "completed_steps": [{"step": "load", "symbol": None}, {"step": "analyse", "symbol": "AAPL"}],
        "orders": [],
    }
    with pytest.raises(Refused):
        run.settle_stage(stamp(8))


def test_a_run_whose_members_all_finished_while_it_was_being_cancelled_is_cancelled() -> None:
    """After the request only that may end it."""
    run = at_join()
    claimed(run, "AAPL", stamp(4))
    complete_member(run, "MSFT", stamp(4))
    run.request_cancel(stamp(5))
    complete_member(run, "AAPL", stamp(6))
    run.settle_stage(stamp(6))
    assert run.phase is Phase.CANCELLED


def test_cancelling_a_run_in_a_stage_again_changes_nothing() -> None:
    """No second event, no error."""
    run = at_join()
    claimed(run, "AAPL", stamp(4))
    run.request_cancel(stamp(5))
    run.collect_events()
    run.request_cancel(stamp(6))
    assert run.collect_events() == []


def test_a_joined_run_is_cancelled_at_once() -> None:
    """It waits for a worker."""
    run = joined()
    run.request_cancel(stamp(6))
    assert run.phase is Phase.CANCELLED


def test_a_run_fails_with_its_first_member_and_the_second_to_fail_closes() -> None:
    """There is one failure, and it is the first."""
    run = at_join(steps=STRICT)
    second = claimed(run, "AAPL", stamp(4))
    fail_member(run, "MSFT", stamp(5), message="no bars")
    with pytest.raises(Refused):
        second.fail(stamp(6), attempt=1, failure=failure(), started_at=stamp(4).at)
    with pytest.raises(Refused):
        run.fail_in_stage(stamp(6), failure=failure())
    second.close(stamp(6), attempt=1, reason="its task has failed")
    assert run.failure is not None
    assert (run.failure.failure.message, run.finished_at) == ("no bars", stamp(5).at)
    with pytest.raises(Refused):
        run.settle_stage(stamp(7))
