"""Branches whose run waits for them no more: it is being cancelled, has ended, or lives on without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.domain import branch_events as happened
from shared.domain.branch import Branch
from shared.domain.errors import AlreadyFinished, NotClaimable, Refused
from shared.domain.events import Event
from shared.domain.execution import fold
from shared.domain.phases import Phase
from tests.builders import (
    WORKER,
    at_join,
    claimed,
    fail_member,
    failure,
    open_stage,
    stamp,
)
from tests.unit.shared.domain.branch_moves import (
    COMMANDS,
    STRICT,
    lose,
    run_of,
    standing,
)


def cancelling() -> Branch:
    """A branch at work whose run is being cancelled."""
    run = at_join()
    branch = claimed(run, "AAPL", stamp(4))
    run.request_cancel(stamp(5))
    return branch


def of_a_failed_run() -> Branch:
    """A branch at work whose sibling has failed the run."""
    run = at_join(steps=STRICT)
    branch = claimed(run, "AAPL", stamp(4))
    fail_member(run, "MSFT", stamp(5))
    return branch


def of_a_run_out_of_time() -> Branch:
    """A branch at work whose run has used up its time."""
    run = at_join(timeout_seconds=4.0)
    branch = claimed(run, "AAPL", stamp(4))
    run.time_out_in_stage(stamp(8))
    return branch


def of_a_run_that_was_cancelled_meanwhile() -> Branch:
    """A branch that was claimed while somebody who saw nobody at work cancelled the run."""
    run = at_join()
    submission, *events = run.collect_events()
    other = fold(None, [submission, *events])
    assert other is not None
    branch = claimed(run, "AAPL", stamp(4))
    run.collect_events()
    other.request_cancel(stamp(5))
    for event in other.collect_events():
        run.apply(event)
    return branch


def of_a_restarted_run() -> Branch:
    """A branch at work of a run that has failed and lives on."""
    branch = of_a_failed_run()
    run_of(branch).retry_now(stamp(6))
    return branch


def of_an_earlier_opening() -> Branch:
    """A branch at work of a run that has opened the same stage anew."""
    branch = of_a_restarted_run()
    run = run_of(branch)
    run.claim(stamp(7), attempt=2, worker=WORKER)
    open_stage(run, stamp(8))
    return branch


OVER = [
    of_a_failed_run,
    of_a_run_out_of_time,
    of_a_run_that_was_cancelled_meanwhile,
    of_a_restarted_run,
    of_an_earlier_opening,
]


def outcome_of(command: type[Event], branch: Branch) -> Any:
    """The events that a command gives, or the error that it raises."""
    branch.run.collect_events()
    try:
        COMMANDS[command](branch, branch.attempts)
    except Refused as refusal:
        assert branch.run.collect_events() == []
        return type(refusal)
    return [type(event) for event in branch.run.collect_events()]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda event: event.TOPIC)
def test_while_its_run_is_being_cancelled_a_branch_may_only_finish_or_close(command: type[Event]) -> None:
    """What is done is kept; what is not done stops. A worker that is lost then closes it."""
    answers: dict[type[Event], Any] = {
        happened.BranchCompleted: [happened.BranchCompleted],
        happened.BranchClosed: [happened.BranchClosed],
        happened.BranchWorkerLost: [happened.BranchClosed],
        happened.BranchAttemptStarted: NotClaimable,
    }
    assert outcome_of(command, cancelling()) == answers.get(command, Refused)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda event: event.TOPIC)
def test_a_branch_whose_stage_is_over_can_only_close(command: type[Event], over: Callable[[], Branch]) -> None:
    """Its run has ended, or lives on without it; what it brings is refused, and that its task has ended is told."""
    answers: dict[type[Event], Any] = {
        happened.BranchClosed: [happened.BranchClosed],
        happened.BranchWorkerLost: [happened.BranchClosed],
        happened.BranchAttemptStarted: NotClaimable,
        happened.BranchRetryDue: Refused,
    }
    branch = over()
    assert branch.at_work
    assert outcome_of(command, branch) == answers.get(command, AlreadyFinished)


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.RETRY_WAIT, Phase.RETRY_DUE, Phase.LOST, Phase.PREEMPTED])
def test_a_member_that_is_not_at_work_when_its_run_ends_never_starts(phase: Phase) -> None:
    """It has nothing to close, and its retry falls due no more."""
    branch = standing(phase)
    branch.run.fail_in_stage(stamp(7), failure=failure())
    branch.run.collect_events()
    for command in COMMANDS:
        with pytest.raises(Refused):
            COMMANDS[command](branch, branch.attempts)
    assert branch.run.collect_events() == []
    assert branch.phase is phase


@pytest.mark.parametrize("over", OVER)
def test_a_branch_that_closes_late_leaves_its_run_alone(over: Callable[[], Branch]) -> None:
    """No step, no phase and no end of the run changes by it."""
    branch = over()
    run = run_of(branch)
    before = (
        run.phase,
        dict(run.steps),
        run.finished_at,
        run.version,
        run.next_position(),
        run.time_left(stamp(20).at),
    )
    branch.close(stamp(20), attempt=1, reason="its task is over")
    assert before == (
        *(run.phase, run.steps, run.finished_at, run.version, run.next_position()),
        run.time_left(stamp(20).at),
    )
    assert branch.phase is Phase.CANCELLED


def test_a_branch_that_its_run_waits_for_does_not_close() -> None:
    """Only its own end may take it out of the stage."""
    branch = claimed(at_join(), "AAPL", stamp(4))
    with pytest.raises(Refused, match="it goes on"):
        branch.close(stamp(5), attempt=1, reason="no time")
    assert branch.at_work


@pytest.mark.parametrize("over", [cancelling, *OVER])
def test_a_branch_that_loses_its_worker_when_its_run_waits_no_more_closes(over: Callable[[], Branch]) -> None:
    """Whether it was the last loss that it may have or not: nothing starts it again."""
    for max_losses in (1, 3):
        branch = over()
        branch.run.collect_events()
        lose(branch, 20, max_losses=max_losses)
        [closed] = branch.run.collect_events()
        assert isinstance(closed, happened.BranchClosed)
        assert (closed.reason, branch.phase) == ("no heartbeat", Phase.CANCELLED)
