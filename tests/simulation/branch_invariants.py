"""What must hold of runs whose steps run side by side, whatever happens."""

from shared.domain import branch_events as branch
from shared.domain import execution_events as happened
from shared.domain.branch import MOVES
from shared.domain.branch_events import BranchEvent
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.failures import WORKER_LOST
from shared.domain.phases import Phase
from tests.simulation.desk import POLICY

AFTER_ALL = (branch.BranchClosed,)
"""What a branch may still say when its run waits for it no more."""
FINISHED = (branch.BranchCompleted,)
"""What it may still bring while its run is being cancelled."""


def check_branch_event(run: WorkflowExecution, event: BranchEvent) -> None:
    """Check one event of a branch against the run as it was before it."""
    member = run.branches.get(event.originator_id)
    assert member is not None, f"{event.TOPIC} of a branch that no stage has opened"
    assert event.originator_version == member.version + 1, "versions of a branch have no gap"
    assert member.phase in MOVES[type(event)], f"{event.TOPIC} is not legal in {member.phase}"
    _only_its_own_attempt_speaks(run, event)
    _a_branch_lives_as_long_as_its_stage(run, event)
    if isinstance(event, branch.BranchFailed) and event.failure.type == WORKER_LOST:
        assert member.losses == POLICY.max_losses - 1, "a branch was given up before its last loss"


def _only_its_own_attempt_speaks(run: WorkflowExecution, event: BranchEvent) -> None:
    member = run.branches[event.originator_id]
    expected = member.attempts + isinstance(event, branch.BranchAttemptStarted)
    assert event.attempt == expected, f"{event.TOPIC} of attempt {event.attempt}, while it is {expected}'s turn"


def _a_branch_lives_as_long_as_its_stage(run: WorkflowExecution, event: BranchEvent) -> None:
    in_its_stage = run.in_stage and event.opening == run.opening
    if run.phase is Phase.AT_JOIN and in_its_stage:
        assert not isinstance(event, branch.BranchClosed), "a branch was closed that its run waits for"
    elif run.phase is Phase.CANCELLING and in_its_stage:
        assert isinstance(event, FINISHED + AFTER_ALL), f"{event.TOPIC} while the run is being cancelled"
    else:
        # A member that fails its run says so in the same append, and closes after it when its time was over.
        assert isinstance(event, AFTER_ALL), f"{event.TOPIC} after the stage was over: the run is {run.phase}"


def check_stage_event(run: WorkflowExecution, event: Event) -> None:
    """Check an event of the run itself against its stages as they were before it."""
    match event:
        case happened.StageOpened():
            assert event.opening == run.opening + 1, "stages count up"
            assert not run.in_stage, "a stage was opened within another"
            doubled = [m for m in event.members if run.is_settled((m.step, m.symbol))]
            assert not doubled, f"a stage was opened for what is settled: {doubled}"
        case happened.StageClosed():
            left = [member.key for member in run.stage() if not member.phase.ended]
            assert event.opening == run.opening, "another stage was closed than the one that is open"
            assert not left, f"a stage was closed before {left} had ended"
        case happened.Cancelled() if run.in_stage:
            working = [member.key for member in run.stage() if member.at_work]
            assert not working, f"a run was cancelled while {working} were at work"
        case happened.Succeeded():
            assert not run.in_stage, "a run succeeded within a stage"
