"""What a run looks like from outside, in each phase and on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_records import StepState
from shared.domain.phases import CeleryState, Phase, Status
from shared.domain.views import step_views, task_view, trace_id
from tests.builders import (
    TRACEPARENT,
    WORKER,
    complete_all,
    complete_next,
    failure,
    in_phase,
    order,
    outcome,
    running,
    stamp,
    submitted,
    waiting_for_retry,
)
from tests.histories import ACTIONS, act


def test_progress_counts_steps_and_the_symbols_within_one() -> None:
    """Three steps, the second for each of two symbols: after 0, 1, 2, 3, 4 calls."""
    run = running()
    seen = []
    while True:
        p = task_view(run).progress
        seen.append((p.current_step, p.current_symbol, p.completed_steps, p.completed_symbols, p.fraction))
        if run.next_position() is None:
            break
        complete_next(run, stamp(2))
    assert seen == [
        ("load", None, 0, (), 0.0),
        ("analyse", "AAPL", 1, (), 0.3333),
        ("analyse", "MSFT", 1, ("AAPL",), 0.5),
        ("decide", None, 2, (), 0.6667),
        (None, None, 3, ("AAPL", "MSFT"), 1.0),
    ]
    assert (p.total_steps, p.total_symbols) == (3, 2)


@given(moves=st.lists(st.sampled_from(ACTIONS), max_size=60))
def test_progress_never_goes_backwards(moves: list[str]) -> None:
    """Whatever happens, steps done, symbols done within the step, and the fraction only grow."""
    run = submitted()
    before = task_view(run).progress
    for second, action in enumerate(moves, start=1):
        act(run, action, second)
        now = task_view(run).progress
        assert (now.completed_steps, len(now.completed_symbols)) >= (
            before.completed_steps,
            len(before.completed_symbols),
        )
        assert before.fraction <= now.fraction <= 1.0
        before = now


@pytest.mark.parametrize(
    ("phase", "state", "status", "cancelling"),
    [
        (Phase.WAITING, CeleryState.PENDING, Status.QUEUED, False),
        (Phase.RUNNING, CeleryState.STARTED, Status.RUNNING, False),
        (Phase.RETRY_WAIT, CeleryState.RETRY, Status.RETRYING, False),
        (Phase.RETRY_DUE, CeleryState.RETRY, Status.RETRYING, False),
        (Phase.AT_JOIN, CeleryState.STARTED, Status.RUNNING, False),
        (Phase.JOINED, CeleryState.STARTED, Status.RUNNING, False),
        (Phase.LOST, CeleryState.PENDING, Status.QUEUED, False),
        (Phase.PREEMPTED, CeleryState.PENDING, Status.PREEMPTED, False),
        (Phase.CANCELLING, CeleryState.STARTED, Status.RUNNING, True),
        (Phase.SUCCEEDED, CeleryState.SUCCESS, Status.COMPLETED, False),
        (Phase.FAILED, CeleryState.FAILURE, Status.FAILED, False),
        (Phase.CANCELLED, CeleryState.REVOKED, Status.CANCELLED, False),
    ],
)
def test_the_words_for_a_phase(phase: Phase, state: CeleryState, status: Status, cancelling: bool) -> None:
    """Celery's word and the record's, as DESIGN "States" has them; one row a phase."""
    view = task_view(in_phase(phase))
    assert (view.state, view.status, view.cancelling) == (state, status, cancelling)


def test_a_finished_run_shows_when_and_until_when() -> None:
    """Started one second and finished ten after submission; the result stays for its time to live."""
    run = running(result_ttl_seconds=60.0)
    complete_all(run, stamp(10))
    view = task_view(run)
    assert (view.started_at, view.finished_at, view.duration_seconds) == (stamp(1).at, stamp(10).at, 9.0)
    assert view.result_expires_at == stamp(10).at + timedelta(seconds=60)
    assert view.result is not None
    assert (view.partial_result, view.error) == (None, None)
    assert (view.worker, view.attempts, view.version) == (WORKER, 1, 7)


def test_a_failed_run_shows_why_and_what_is_left_of_it() -> None:
    """The error bears step and symbol; the partial result names finished steps and the orders so far."""
    run = running()
    complete_next(run, stamp(2))
    run.request_order(stamp(3), attempt=1, client_order_id="a", step="analyse", symbol="AAPL", order=order())
    run.settle_order(stamp(3), attempt=1, client_order_id="a", outcome=outcome(state="filled", filled_quantity="10"))
    run.fail(
        stamp(4),
        attempt=1,
        failure=failure(type="TimeLimit", timed_out=True),
        step="analyse",
        symbol="AAPL",
        started_at=stamp(3).at,
    )
    view = task_view(run)
    assert view.error is not None
    assert (view.error.type, view.error.timed_out, view.error.step, view.error.symbol) == (
        "TimeLimit",
        True,
        "analyse",
        "AAPL",
    )
    assert view.partial_result is not None
    assert view.partial_result["completed_steps"] == [{"step": "load", "symbol": None}]
    [placed] = view.partial_result["orders"]
    assert (placed["state"], placed["filled_quantity"], placed["requested_at"]) == (
        "filled",
        "10",
        "2026-03-02T14:30:03Z",
    )


def test_a_run_that_was_cancelled_before_it_began_has_no_partial_result() -> None:
    """Nothing was done, so there is nothing to show."""
    run = submitted()
    run.request_cancel(stamp(1))
    assert task_view(run).partial_result is None


def states(run: WorkflowExecution) -> list[StepState]:
    """The states of a run's steps in order."""
    return [view.state for view in step_views(run)]


def test_steps_are_listed_from_the_submission_on() -> None:
    """A row for each step and symbol, pending until it is its turn; the one that runs is running."""
    run = submitted()
    assert states(run) == [StepState.PENDING] * 4
    run.claim(stamp(1), attempt=1, worker=WORKER)
    complete_next(run, stamp(2))
    rows = list(step_views(run))
    assert [row.index for row in rows] == [0, 1, 2, 3]
    assert [row.state for row in rows] == [
        StepState.COMPLETED,
        StepState.RUNNING,
        StepState.PENDING,
        StepState.PENDING,
    ]
    assert (rows[1].started_at, rows[1].worker) == (stamp(2).at, WORKER)
    assert rows[0].duration_seconds == 0.5


def test_a_step_that_waits_for_its_retry_shows_why_it_failed() -> None:
    """It is retrying, with its error, and no step runs; claimed again it runs, still with the last error."""
    run = waiting_for_retry()
    row = next(iter(step_views(run)))
    assert (row.state, row.attempts) == (StepState.RETRYING, 1)
    assert row.error is not None
    assert row.error.type == "TemporaryError"
    run.fall_due(stamp(3))
    run.claim(stamp(4), attempt=2, worker="other")
    row = next(iter(step_views(run)))
    assert (row.state, row.started_at, row.worker) == (StepState.RUNNING, stamp(4).at, "other")


def test_steps_that_a_cancelled_run_did_not_reach_are_cancelled() -> None:
    """What was completed stays completed."""
    run = running()
    complete_next(run, stamp(2))
    run.request_cancel(stamp(3))
    assert states(run)[1] is StepState.RUNNING
    run.end_cancelled(stamp(4), attempt=1)
    assert states(run) == [StepState.COMPLETED] + [StepState.CANCELLED] * 3


def test_the_trace_id_is_the_middle_of_a_traceparent() -> None:
    """W3C: version, trace id, span id, flags."""
    assert trace_id(TRACEPARENT) == "0af7651916cd43dd8448eb211c80319c"
    assert trace_id(None) is None
    assert task_view(submitted()).trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_a_plan_without_steps_is_complete() -> None:
    """Nothing to do is done."""
    assert task_view(running(steps=())).progress.fraction == 1.0


def test_a_run_of_a_schedule_shows_for_which_time_and_whether_it_is_held() -> None:
    """Held until it is let go; the time stays."""
    run = submitted(schedule_id="s-1", scheduled_at=stamp(-9).at, held=True)
    view = task_view(run)
    assert (view.schedule_id, view.scheduled_at, view.held) == ("s-1", stamp(-9).at, True)
    run.release(stamp(1))
    assert (task_view(run).scheduled_at, task_view(run).held) == (stamp(-9).at, False)
    assert (task_view(submitted()).scheduled_at, task_view(submitted()).held) == (None, False)
