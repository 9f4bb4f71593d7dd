"""What may be asked of a branch, and branches in every phase."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain import branch_events as happened
from shared.domain.branch import Branch
from shared.domain.catalogue import OnError
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output
from shared.domain.phases import Phase
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

OTHER = "5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10"
STRICT = parallel_plan(on_error=OnError.FAIL)


def lose(branch: Branch, second: float, *, max_losses: int = 3, attempt: int | None = None) -> None:
    """Declare the worker of the branch's attempt lost."""
    number = branch.attempts if attempt is None else attempt
    branch.lose_worker(stamp(second), attempt=number, worker=WORKER, reason="no heartbeat", max_losses=max_losses)


def ask(branch: Branch, second: float, *, by: str = OTHER) -> None:
    """Ask the running attempt to make way."""
    branch.request_preemption(stamp(second), attempt=branch.attempts, preempted_by=by)


def _make_way(branch: Branch, number: int) -> None:
    """Obey a request to make way that the branch has heard of."""
    branch.yields_to = OTHER
    branch.make_way(stamp(9), attempt=number)


COMMANDS: dict[type[Event], Callable[[Branch, int], None]] = {
    happened.BranchAttemptStarted: lambda branch, number: branch.claim(stamp(9), attempt=number + 1, worker="other"),
    happened.BranchCompleted: lambda branch, number: branch.complete(
        stamp(9), attempt=number, output=Output(), started_at=stamp(8).at
    ),
    happened.BranchFailed: lambda branch, number: branch.fail(
        stamp(9), attempt=number, failure=failure(), started_at=stamp(8).at
    ),
    happened.BranchRetryScheduled: lambda branch, number: branch.schedule_retry(
        stamp(9), attempt=number, failure=failure(), started_at=stamp(8).at, due_at=stamp(10).at
    ),
    happened.BranchRetryDue: lambda branch, _: branch.fall_due(stamp(9)),
    happened.BranchWorkerLost: lambda branch, number: lose(branch, 9, attempt=number),
    happened.BranchPreemptionRequested: lambda branch, number: branch.request_preemption(
        stamp(9), attempt=number, preempted_by=OTHER
    ),
    happened.BranchPreempted: _make_way,
    happened.BranchClosed: lambda branch, number: branch.close(stamp(9), attempt=number, reason="its task is over"),
}
"""Every command, given to a branch as its attempt of that number."""

BY_ITS_ATTEMPT = set(COMMANDS) - {happened.BranchAttemptStarted, happened.BranchRetryDue}
"""What only the attempt that runs brings about."""


def standing(phase: Phase) -> Branch:
    """A branch in `phase`, whose sibling is at work and whose run waits at the join, if it may, nothing to collect."""
    run = at_join()
    claimed(run, "MSFT", stamp(3))
    branch = run.members["analyse", "AAPL"]
    if phase is not Phase.WAITING:
        claimed(run, "AAPL", stamp(4))
    match phase:
        case Phase.RETRY_WAIT:
            retry_member(run, "AAPL", stamp(5))
        case Phase.RETRY_DUE:
            retry_member(run, "AAPL", stamp(5))
            branch.fall_due(stamp(6))
        case Phase.LOST:
            lose(branch, 5)
        case Phase.PREEMPTED:
            ask(branch, 5)
            branch.make_way(stamp(5), attempt=1)
        case Phase.SUCCEEDED:
            complete_member(run, "AAPL", stamp(5))
        case Phase.FAILED:
            fail_member(run, "AAPL", stamp(5))
        case Phase.CANCELLED:
            run.request_cancel(stamp(5))
            branch.close(stamp(5), attempt=1, reason="its task is being cancelled")
    run.collect_events()
    return branch


_OF_A_RUN_ONLY = (Phase.HELD, Phase.AT_JOIN, Phase.JOINED, Phase.CANCELLING)
PHASES = [phase for phase in Phase if phase not in _OF_A_RUN_ONLY]
"""Where a branch may stand; the other phases are those of runs alone."""


def run_of(branch: Branch) -> WorkflowExecution:
    """The run of a branch, with all of its commands."""
    assert isinstance(branch.run, WorkflowExecution)
    return branch.run
