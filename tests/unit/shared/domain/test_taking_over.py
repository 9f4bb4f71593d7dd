"""Runs that begin with what an earlier run made of some steps."""

from __future__ import annotations

import pytest

from shared.domain.errors import Refused
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Artifact, StepsTakenOver, TakenStep
from shared.domain.execution_records import StepState
from shared.domain.outputs import ObjectRef, Output
from shared.domain.phases import Phase
from shared.domain.views import step_views, task_view
from tests.builders import (
    PARALLEL_PLAN,
    WORKER,
    complete_all,
    complete_next,
    failure,
    in_phase,
    open_stage,
    stamp,
    submitted,
)

EARLIER = "7b0c6c1e-58c7-4f0e-9f39-2f0b8c9f6d11"
CHART = Artifact(
    name="chart.png", ref=ObjectRef(uri="object://sha256/00", media_type="image/png", size=1, sha256="00" * 32)
)
LOADED = TakenStep(step="load", output=Output(inline="loaded"))
ANALYSED = TakenStep(step="analyse", symbol="MSFT", output=Output(inline=1.5))
FAILED = TakenStep(step="analyse", symbol="AAPL", failure=failure(retryable=False))


def taken_over(*steps: TakenStep) -> WorkflowExecution:
    """A run of PARALLEL_PLAN that has begun with these steps, and kept a chart."""
    run = submitted(steps=PARALLEL_PLAN)
    run.take_over(stamp(0.5), from_task=EARLIER, steps=steps, artifacts=(CHART,))
    return run


def test_a_run_begins_after_the_steps_that_it_takes_over() -> None:
    """They are completed with their outputs, and never run in this run."""
    run = taken_over(LOADED, ANALYSED)
    assert (run.phase, run.next_position()) == (Phase.WAITING, ("analyse", "AAPL"))
    record = run.steps["load", None]
    assert (record.state, record.output, record.attempts, record.worker) == (
        *(StepState.COMPLETED, Output(inline="loaded"), 0),
        None,
    )
    run.claim(stamp(1), attempt=1, worker=WORKER)
    with pytest.raises(Refused, match="never runs again"):
        run.complete_step(stamp(2), attempt=1, step="load", symbol=None, output=Output(), started_at=stamp(1).at)
    with pytest.raises(Refused, match="cannot open a stage"):
        run.open_stage(stamp(2), attempt=1, members=[("analyse", "AAPL"), ("analyse", "MSFT")])
    open_stage(run, stamp(2))
    assert set(run.members) == {("analyse", "AAPL")}


def test_a_collected_failure_that_is_taken_over_leaves_later_steps_of_its_symbol_out() -> None:
    """As it did in the earlier run."""
    run = taken_over(LOADED, FAILED, ANALYSED)
    assert run.left_out == {("rank", "AAPL")}
    assert run.next_position() == ("rank", "MSFT")
    rows = {(view.step, view.symbol): view for view in step_views(run)}
    assert (rows["analyse", "AAPL"].state, rows["rank", "AAPL"].state) == (StepState.FAILED, StepState.SKIPPED)
    error = rows["analyse", "AAPL"].error
    assert error is not None
    assert error.message == "the venue is busy"
    run.claim(stamp(1), attempt=1, worker=WORKER)
    complete_all(run)
    assert run.phase is Phase.SUCCEEDED


def test_what_was_kept_for_people_is_taken_over_with_its_step() -> None:
    """A step of this run may keep something newer under the same name."""
    run = taken_over(LOADED)
    assert run.artifacts == {"chart.png": CHART}


def test_progress_begins_with_what_was_taken_over() -> None:
    """It counts as done, at the time at which it was taken over."""
    run = taken_over(LOADED, ANALYSED)
    progress = task_view(run).progress
    assert (progress.current_step, progress.completed_steps, progress.completed_symbols) == ("analyse", 1, ("MSFT",))
    assert run.steps["load", None].finished_at == stamp(0.5).at
    assert task_view(run).started_at is None


def test_the_log_says_from_which_run_steps_were_taken_over() -> None:
    """One event, second in the stream."""
    run = taken_over(LOADED)
    submission, event = run.collect_events()
    assert isinstance(event, StepsTakenOver)
    assert (event.from_task, event.steps, event.originator_version) == (EARLIER, (LOADED,), 2)
    folded = fold(None, [submission, event, event])
    assert folded is not None
    assert (folded.steps, folded.artifacts, folded.events) == (run.steps, run.artifacts, 2)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.WAITING])
def test_nothing_is_taken_over_by_a_run_that_has_begun(phase: Phase) -> None:
    """What it has done itself is never replaced."""
    run = in_phase(phase)
    run.collect_events()
    with pytest.raises(Refused):
        run.take_over(stamp(9), from_task=EARLIER, steps=(LOADED,))
    assert run.collect_events() == []


def test_nothing_is_taken_over_a_second_time_or_after_a_restart() -> None:
    """A run that waits again has a past of its own."""
    run = taken_over(LOADED)
    with pytest.raises(Refused, match="begun already"):
        run.take_over(stamp(0.6), from_task=EARLIER, steps=(ANALYSED,))
    again = in_phase(Phase.FAILED)
    again.retry_now(stamp(9))
    assert again.phase is Phase.WAITING
    with pytest.raises(Refused, match="begun already"):
        again.take_over(stamp(10), from_task=EARLIER, steps=(LOADED,))


def test_a_restart_keeps_what_was_taken_over() -> None:
    """But for failures of the step that has failed, which are tried again."""
    run = taken_over(LOADED, FAILED)
    run.claim(stamp(1), attempt=1, worker=WORKER)
    run.fail(stamp(2), attempt=1, failure=failure(), step="analyse", symbol="MSFT", started_at=stamp(1).at)
    run.retry_now(stamp(3))
    assert run.next_position() == ("analyse", "AAPL")
    assert run.steps["load", None].output == Output(inline="loaded")
    run.claim(stamp(4), attempt=2, worker=WORKER)
    complete_next(run, stamp(5))
    run.request_cancel(stamp(6))
    run.end_cancelled(stamp(7), attempt=2)
    run.retry_now(stamp(8))
    assert run.next_position() == ("analyse", "MSFT")
