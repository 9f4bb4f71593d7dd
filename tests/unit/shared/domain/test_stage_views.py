"""What is seen of a run at a join and of its members."""

from __future__ import annotations

from itertools import permutations

import pytest

from shared.domain.catalogue import OnError
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.execution_records import StepState
from shared.domain.outputs import ObjectRef, Output
from shared.domain.views import step_views, task_view
from tests.builders import (
    WORKER,
    at_join,
    claimed,
    complete_member,
    fail_member,
    failure,
    parallel_plan,
    retry_member,
    stamp,
)

STRICT = parallel_plan(on_error=OnError.FAIL)


def states(run: WorkflowExecution) -> list[StepState]:
    """The states of the members of a run's stage, in the order of its symbols."""
    return [view.state for view in step_views(run) if view.step == "analyse"]


def test_members_are_shown_as_what_they_are() -> None:
    """Pending until a worker has them and after it is lost, running, retrying with the error, completed, failed."""
    run = at_join(symbols=("A", "B", "C", "D", "E", "F"))
    claimed(run, "B", stamp(4), worker="b")
    retry_member(run, "C", stamp(4))
    complete_member(run, "D", stamp(4))
    fail_member(run, "E", stamp(4))
    claimed(run, "F", stamp(4)).lose_worker(stamp(5), attempt=1, worker=WORKER, reason="died", max_losses=3)
    assert states(run) == [
        StepState.PENDING,
        StepState.RUNNING,
        StepState.RETRYING,
        StepState.COMPLETED,
        StepState.FAILED,
        StepState.PENDING,
    ]
    rows = {(view.step, view.symbol): view for view in step_views(run)}
    assert (rows["analyse", "B"].started_at, rows["analyse", "B"].worker) == (stamp(4).at, "b")
    assert rows["rank", "E"].state is StepState.SKIPPED
    assert rows["decide", None].state is StepState.PENDING
    error = rows["analyse", "C"].error
    assert error is not None
    assert (error.type, error.symbol) == ("TemporaryError", "C")
    run.retry_now(stamp(6))
    assert states(run)[2] is StepState.RETRYING
    claimed(run, "C", stamp(7), worker="c")
    [row] = [view for view in step_views(run) if view.symbol == "C" and view.step == "analyse"]
    assert (row.state, row.started_at, row.worker, row.attempts) == (StepState.RUNNING, stamp(7).at, "c", 1)


def test_members_of_a_run_that_has_failed_are_cancelled_once_they_have_stopped() -> None:
    """Until then they run; what never started is cancelled too, and no later step is called skipped."""
    run = at_join(symbols=("A", "B", "C", "D", "E"), steps=STRICT)
    complete_member(run, "A", stamp(4))
    straggler = claimed(run, "B", stamp(4))
    retry_member(run, "E", stamp(4))
    fail_member(run, "C", stamp(5))
    ended = [StepState.COMPLETED, StepState.RUNNING, StepState.FAILED, StepState.CANCELLED, StepState.CANCELLED]
    assert states(run) == ended
    straggler.close(stamp(6), attempt=1, reason="its task has failed")
    assert states(run) == [ended[0], StepState.CANCELLED, *ended[2:]]
    later = {view.state for view in step_views(run) if view.step in ("rank", "decide")}
    assert later == {StepState.PENDING}
    assert task_view(run).finished_at == stamp(5).at


def test_a_failed_member_counts_as_one_step_that_is_over() -> None:
    """Steps after it that will never run are not called done."""
    run = at_join(symbols=("AAPL",), steps=STRICT)
    fail_member(run, "AAPL", stamp(4))
    assert task_view(run).progress.completed_steps == 2


def test_members_of_a_run_that_was_cancelled_are_cancelled() -> None:
    """But for those that are done. Until the last has stopped it runs, and those that wait do not."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"))
    complete_member(run, "MSFT", stamp(4))
    claimed(run, "IBM", stamp(4))
    run.request_cancel(stamp(5))
    assert states(run) == [StepState.PENDING, StepState.COMPLETED, StepState.RUNNING]
    run.members["analyse", "IBM"].close(stamp(6), attempt=1, reason="its task is being cancelled")
    run.settle_stage(stamp(6))
    assert states(run) == [StepState.CANCELLED, StepState.COMPLETED, StepState.CANCELLED]


def test_the_next_retry_of_a_run_at_a_join_is_that_of_its_first_branch_to_go_on() -> None:
    """None waits for one: none is shown."""
    run = at_join()
    assert task_view(run).next_retry_at is None
    retry_member(run, "AAPL", stamp(4), due_in=8)
    retry_member(run, "MSFT", stamp(5), due_in=2)
    assert task_view(run).next_retry_at == stamp(7).at
    run.members["analyse", "MSFT"].fall_due(stamp(7))
    assert task_view(run).next_retry_at == stamp(12).at
    run.fail_in_stage(stamp(8), failure=failure())
    assert task_view(run).next_retry_at is None


@pytest.mark.parametrize("finishing", list(permutations(("A", "B", "C"))))
@pytest.mark.parametrize("failing", ["", "A", "C"])
def test_progress_goes_forward_in_whatever_order_members_end(finishing: tuple[str, ...], failing: str) -> None:
    """Those that are done are named in the order submitted, and the first that is not is the current one."""
    run = at_join(symbols=("A", "B", "C"))
    done: set[str] = set()
    for number, symbol in enumerate(finishing, start=1):
        progress = task_view(run).progress
        assert (progress.current_step, progress.completed_steps) == ("analyse", 1)
        assert progress.completed_symbols == tuple(sorted(done))
        assert progress.current_symbol == min({"A", "B", "C"} - done)
        assert progress.fraction == pytest.approx(0.25 + 0.25 * (number - 1) / 3, abs=1e-4)
        (fail_member if symbol == failing else complete_member)(run, symbol, stamp(4 + number))
        done.add(symbol)
    assert task_view(run).progress.completed_steps == 2


def test_what_members_keep_for_people_is_their_runs() -> None:
    """Under their names, the last of one name wins."""
    run = at_join()
    for second, symbol in enumerate(run.submitted.symbols, start=4):
        ref = ObjectRef(uri=f"object://{symbol}", media_type="image/png", size=1, sha256="00" * 32)
        artifacts = (Artifact(name=f"{symbol}.png", ref=ref), Artifact(name="last.png", ref=ref))
        branch = claimed(run, symbol, stamp(second))
        branch.complete(stamp(second), attempt=1, output=Output(), started_at=stamp(second).at, artifacts=artifacts)
    assert sorted(run.artifacts) == ["AAPL.png", "MSFT.png", "last.png"]
    assert run.artifacts["last.png"].ref.uri == "object://MSFT"


def test_the_version_of_a_view_counts_the_events_of_the_run_and_of_its_branches() -> None:
    """So the newer of two views is told apart whoever wrote the last event; the run's own stream counts its own."""
    run = at_join()
    before = (task_view(run).version, run.version)
    complete_member(run, "AAPL", stamp(4))
    assert (task_view(run).version, run.version) == (before[0] + 2, before[1])
    assert run.changed_at == stamp(4).at
    assert task_view(run).version == len(run.collect_events())


def test_attempts_and_worker_of_a_run_at_a_join_are_those_of_its_main_line() -> None:
    """Branches count their own."""
    run = at_join()
    claimed(run, "AAPL", stamp(4), worker="other")
    view = task_view(run)
    assert (view.attempts, view.worker, view.started_at) == (1, WORKER, stamp(1).at)
