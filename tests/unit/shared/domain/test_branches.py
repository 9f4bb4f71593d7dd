"""A branch: what its commands decide, and what they refuse."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain import branch_events as happened
from shared.domain.branch import ENDS, MOVES, Branch, branch_id
from shared.domain.errors import NotClaimable, Refused, StaleAttempt
from shared.domain.events import EVENTS, Event
from shared.domain.execution import fold
from shared.domain.execution_events import Artifact, Failed
from shared.domain.execution_records import StepState
from shared.domain.outputs import ObjectRef, Output
from shared.domain.phases import Phase
from tests.builders import (
    TRACEPARENT,
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
from tests.unit.shared.domain.branch_moves import (
    BY_ITS_ATTEMPT,
    COMMANDS,
    OTHER,
    PHASES,
    STRICT,
    ask,
    lose,
    run_of,
    standing,
)

CHART = Artifact(
    name="chart.png", ref=ObjectRef(uri="object://sha256/00", media_type="image/png", size=1, sha256="00" * 32)
)


def test_every_event_of_a_branch_has_its_row_and_its_command() -> None:
    """A new event without a row in the table, or without a command here, is found."""
    known = {EVENTS[topic] for topic in EVENTS.topics if topic.startswith("branch.")}
    assert set(MOVES) == set(COMMANDS) == known
    assert {phase for row in MOVES.values() for move in row.items() for phase in move} == set(PHASES)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("event", MOVES, ids=lambda event: event.TOPIC)
def test_a_command_of_a_branch_moves_along_the_table_or_is_refused(event: type[Event], phase: Phase) -> None:
    """A legal pair gives that event alone, which moves to the table's phase; any other gives no event at all."""
    branch = standing(phase)
    assert branch.phase is phase
    if event is happened.BranchClosed:
        run_of(branch).request_cancel(stamp(8))
        branch.run.collect_events()
    if phase in MOVES[event]:
        COMMANDS[event](branch, branch.attempts)
        [only] = branch.run.collect_events()
        assert type(only) is event
        assert branch.phase is MOVES[event][phase]
        return
    with pytest.raises(Refused):
        COMMANDS[event](branch, branch.attempts)
    assert branch.run.collect_events() == []
    assert branch.phase is phase


def test_an_ended_branch_stays_as_it_is() -> None:
    """No row of the table leads out of an end: what is tried again after a restart has another stream."""
    moves = [(before, after) for row in MOVES.values() for before, after in row.items()]
    assert not any(before.ended for before, _ in moves)
    assert {after for _, after in moves if after.ended} == {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}


def test_a_branch_ends_with_the_topics_that_are_known_for_it() -> None:
    """Whoever asks the log whether a stage is over looks for these."""
    assert set(ENDS) == {"branch.completed", "branch.failed", "branch.closed"}


def test_events_of_a_branch_bear_its_stamp_its_run_and_its_place_in_the_stage() -> None:
    """They stand in the branch's stream, where versions count up from 1, and are collected with its run's."""
    run = at_join()
    run.collect_events()
    at = stamp(4, actor="executor:w")
    branch = claimed(run, "MSFT", at)
    complete_member(run, "MSFT", stamp(5))
    started, completed = run.collect_events()
    assert isinstance(started, happened.BranchAttemptStarted)
    assert (started.originator_id, started.originator_version) == (branch.id, 1)
    assert (started.at, started.actor, started.trace, started.append_id) == (
        *(at.at, "executor:w", TRACEPARENT),
        at.append_id,
    )
    assert (started.task_id, started.opening, started.step, started.symbol, started.attempt) == (
        *(run.id, 1, "analyse", "MSFT"),
        1,
    )
    assert (completed.originator_id, completed.originator_version) == (branch.id, 2)


def test_a_branch_has_its_stream_for_ever() -> None:
    """The name is in logs; it differs with each of run, stage, step and symbol."""
    task_id = UUID("7b0c6c1e-58c7-4f0e-9f39-2f0b8c9f6d11")
    assert branch_id(task_id, 1, "analyse", "MSFT") == UUID("e438eb2a-085e-5ee8-8513-54aae490505d")
    names = [
        (task_id, 1, "analyse", "MSFT"),
        (task_id, 1, "analyse", "AAPL"),
        (task_id, 1, "analyse", None),
        (task_id, 1, "chart", "MSFT"),
        (task_id, 2, "analyse", "MSFT"),
        (uuid4(), 1, "analyse", "MSFT"),
    ]
    assert len({branch_id(*name) for name in names}) == len(names)


@pytest.mark.parametrize("attempt", [0, 2])
def test_only_the_next_attempt_of_a_branch_may_be_claimed(attempt: int) -> None:
    """A pointer with another number than the next one is late or forged."""
    with pytest.raises(NotClaimable):
        at_join().members["analyse", "AAPL"].claim(stamp(4), attempt=attempt, worker=WORKER)


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_second_worker_cannot_claim_a_branch_at_work(attempt: int) -> None:
    """A doubled pointer finds it taken, whatever number it bears."""
    branch = claimed(at_join(), "AAPL", stamp(4))
    with pytest.raises(NotClaimable):
        branch.claim(stamp(5), attempt=attempt, worker="other")
    assert branch.worker == WORKER


def test_members_are_claimed_and_end_independently() -> None:
    """What happens to one leaves the others as they are."""
    run = at_join()
    claimed(run, "AAPL", stamp(4), worker="a")
    claimed(run, "MSFT", stamp(4), worker="b")
    complete_member(run, "MSFT", stamp(5))
    first, second = run.stage()
    assert (first.phase, first.worker, second.phase, second.worker) == (Phase.RUNNING, "a", Phase.SUCCEEDED, "b")


@pytest.mark.parametrize("event", BY_ITS_ATTEMPT, ids=lambda event: event.TOPIC)
def test_an_attempt_that_lost_its_branch_may_not_write(event: type[Event]) -> None:
    """A second attempt runs; whatever the first one brings is refused, also when its run is over."""
    branch = standing(Phase.LOST)
    branch.claim(stamp(6), attempt=2, worker="other")
    branch.run.collect_events()
    with pytest.raises(StaleAttempt):
        COMMANDS[event](branch, 1)
    branch.run.fail_in_stage(stamp(7), failure=failure())
    branch.run.collect_events()
    with pytest.raises(StaleAttempt):
        COMMANDS[event](branch, 1)
    assert branch.run.collect_events() == []


def test_a_finished_member_is_recorded_with_who_ran_it_and_what_it_kept() -> None:
    """Its record and its artifacts are the run's."""
    run = at_join()
    branch = claimed(run, "AAPL", stamp(4), worker="a")
    branch.complete(
        stamp(6), attempt=1, output=Output(inline={"mean": 1.5}), started_at=stamp(5).at, artifacts=(CHART,)
    )
    record = run.steps["analyse", "AAPL"]
    assert (record.state, record.output, record.worker, record.attempts, record.retries) == (
        *(StepState.COMPLETED, Output(inline={"mean": 1.5}), "a"),
        *(1, 0),
    )
    assert (record.started_at, record.finished_at) == (stamp(5).at, stamp(6).at)
    assert run.artifacts == {"chart.png": CHART}


def test_a_completed_member_is_never_completed_again() -> None:
    """The log keeps the first output, whoever brings a second."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4), 1)
    with pytest.raises(StaleAttempt):
        run.members["analyse", "AAPL"].complete(stamp(5), attempt=1, output=Output(inline=2), started_at=stamp(4).at)
    assert run.steps["analyse", "AAPL"].output == Output(inline=1)


def test_a_collected_failure_of_a_member_leaves_later_steps_of_its_symbol_out() -> None:
    """The run waits for the others, and later goes on without that symbol; steps once a run still run."""
    run = at_join()
    fail_member(run, "AAPL", stamp(4))
    assert (run.phase, run.steps["analyse", "AAPL"].state) == (Phase.AT_JOIN, StepState.FAILED)
    assert run.left_out == {("rank", "AAPL")}
    assert [key for key in run.positions() if not run.is_settled(key)] == [
        ("analyse", "MSFT"),
        ("rank", "MSFT"),
        ("decide", None),
    ]


def test_a_member_that_fails_for_good_fails_its_run_in_the_same_append() -> None:
    """Nobody ever sees one without the other; the run's failure names step and symbol."""
    run = at_join(steps=STRICT)
    run.collect_events()
    fail_member(run, "MSFT", stamp(4))
    _, branch_failed, run_failed = run.collect_events()
    assert isinstance(branch_failed, happened.BranchFailed)
    assert isinstance(run_failed, Failed)
    assert branch_failed.append_id == run_failed.append_id
    assert (run_failed.step, run_failed.symbol, run_failed.failure) == ("analyse", "MSFT", branch_failed.failure)
    assert (run.phase, run.finished_at) == (Phase.FAILED, stamp(4).at)
    record = run.steps["analyse", "MSFT"]
    assert (record.state, record.attempts, record.failure) == (StepState.FAILED, 1, run_failed.failure)
    assert run.left_out == set()


def test_retries_of_a_member_are_counted_and_wait_without_a_worker() -> None:
    """Each has its number and its time; the record shows the failure, then the end and how often it was tried."""
    run = at_join()
    branch = run.members["analyse", "AAPL"]
    for retry, second in ((1, 4), (2, 14)):
        retry_member(run, "AAPL", stamp(second), due_in=5)
        event = run.collect_events()[-1]
        assert isinstance(event, happened.BranchRetryScheduled)
        assert (event.retry, event.due_at, branch.next_retry_at) == (retry, stamp(second + 5).at, stamp(second + 5).at)
        record = run.steps["analyse", "AAPL"]
        assert (record.state, record.retries, record.failure) == (StepState.RETRYING, retry, failure())
        branch.fall_due(stamp(second + 5))
        assert branch.next_retry_at is None
    assert (run.retries("analyse", "AAPL"), run.retries("analyse", "MSFT")) == (2, 0)
    complete_member(run, "AAPL", stamp(30))
    record = run.steps["analyse", "AAPL"]
    assert (record.state, record.attempts, record.retries, record.failure) == (StepState.COMPLETED, 3, 2, None)


def test_a_branch_makes_way_for_the_task_that_asked_and_starts_anew_later() -> None:
    """Its run has been preempted once; the next attempt has been asked for nothing."""
    run = at_join()
    branch = claimed(run, "AAPL", stamp(4))
    ask(branch, 5)
    branch.make_way(stamp(6), attempt=1)
    assert (branch.phase, run.phase, run.preemptions) == (Phase.PREEMPTED, Phase.AT_JOIN, 1)
    assert (run.preempted_by, run.preempted_at) == (OTHER, stamp(6).at)
    claimed(run, "AAPL", stamp(7))
    assert (branch.attempts, branch.yields_to) == (2, None)
    assert (branch.retries, branch.losses) == (0, 0)
    complete_member(run, "AAPL", stamp(8))


def test_asking_a_branch_twice_changes_nothing() -> None:
    """The first to ask is the one that is made way for."""
    run = at_join()
    branch = claimed(run, "AAPL", stamp(4))
    ask(branch, 5)
    run.collect_events()
    ask(branch, 6, by="somebody else")
    assert (run.collect_events(), branch.yields_to) == ([], OTHER)


def test_no_branch_makes_way_unasked_or_out_of_a_step_that_must_not_be_cut_short() -> None:
    """An interrupt without a reason in the log is none."""
    with pytest.raises(Refused, match="Nobody asked"):
        claimed(at_join(), "AAPL", stamp(4)).make_way(stamp(5), attempt=1)
    with pytest.raises(Refused, match="must not be preempted"):
        ask(claimed(at_join(steps=parallel_plan(preemptible=False)), "AAPL", stamp(4)), 5)


def test_a_branch_that_was_asked_may_still_finish() -> None:
    """It was nearly done."""
    run = at_join()
    ask(claimed(run, "AAPL", stamp(4)), 5)
    complete_member(run, "AAPL", stamp(6))
    assert run.is_settled(("analyse", "AAPL"))


def test_a_branch_that_lost_its_worker_goes_on_elsewhere() -> None:
    """A loss is no retry."""
    branch = standing(Phase.LOST)
    branch.claim(stamp(6), attempt=2, worker="other")
    assert (branch.worker, branch.losses, branch.retries) == ("other", 1, 0)
    assert ("analyse", "AAPL") not in run_of(branch).steps


def lost_again_and_again(**changes: Any) -> Branch:
    """A branch that has lost three workers."""
    run = at_join(**changes)
    branch = run.members["analyse", "AAPL"]
    for second in (4, 5, 6):
        claimed(run, "AAPL", stamp(second))
        lose(branch, second + 0.5)
    return branch


def test_a_member_that_kills_its_worker_again_and_again_fails() -> None:
    """Its run goes on without it where it collects errors."""
    branch = lost_again_and_again()
    run = run_of(branch)
    record = run.steps["analyse", "AAPL"]
    assert (branch.phase, run.phase, record.state) == (Phase.FAILED, Phase.AT_JOIN, StepState.FAILED)
    assert record.failure is not None
    assert (record.failure.type, record.failure.retryable) == ("worker_lost", False)
    assert (record.started_at, record.finished_at) == (stamp(6).at, stamp(6.5).at)
    assert ("rank", "AAPL") in run.left_out


def test_a_member_that_kills_its_worker_again_and_again_fails_a_run_that_collects_nothing() -> None:
    """In the same append."""
    run = run_of(lost_again_and_again(steps=STRICT))
    assert run.failure is not None
    assert (run.phase, run.failure.failure.type) == (Phase.FAILED, "worker_lost")
    assert (run.failure.step, run.failure.symbol) == ("analyse", "AAPL")
    assert [type(event) for event in run.collect_events()[-2:]] == [happened.BranchFailed, Failed]


def test_a_retry_between_two_losses_shows_that_the_step_does_not_kill_its_worker() -> None:
    """The step came to an end in between, as for a run's main line."""
    run = at_join()
    branch = run.members["analyse", "AAPL"]
    for second in (4, 5):
        claimed(run, "AAPL", stamp(second))
        lose(branch, second + 0.5)
    retry_member(run, "AAPL", stamp(6))
    branch.fall_due(stamp(7))
    claimed(run, "AAPL", stamp(7))
    lose(branch, 8)
    assert (branch.phase, branch.losses) == (Phase.LOST, 1)


@pytest.mark.parametrize(("lost_after", "kind"), [(10.0, ("StepTimeout", True)), (9.0, ("worker_lost", False))])
def test_a_member_that_takes_its_process_with_it_when_its_time_is_over_has_timed_out(
    lost_after: float, kind: tuple[str, bool]
) -> None:
    """Of a worker that dies sooner nobody knows why."""
    run = at_join(steps=parallel_plan(timeout_seconds=10.0))
    branch = claimed(run, "AAPL", stamp(100))
    lose(branch, 100 + lost_after, max_losses=1)
    found = run.steps["analyse", "AAPL"].failure
    assert found is not None
    assert (found.type, found.timed_out) == kind


def test_an_event_that_is_taken_in_again_changes_nothing() -> None:
    """Neither the branch nor what is counted of its run."""
    run = at_join()
    retry_member(run, "AAPL", stamp(4))
    branch = run.members["analyse", "AAPL"]
    events = run.collect_events()
    before = (run.events, run.changed_at, branch.version, branch.phase, branch.retries, list(branch.worked))
    for event in events:
        run.apply(event)
    for event in events:
        if isinstance(event, happened.BranchEvent):
            branch.apply(event)
    assert before == (run.events, run.changed_at, branch.version, branch.phase, branch.retries, branch.worked)
    assert run.steps["analyse", "AAPL"].attempts == 1


def test_an_event_of_a_branch_that_nobody_has_opened_is_no_part_of_the_run() -> None:
    """The fold of a part of the log must not stumble over the rest."""
    run = at_join()
    claimed(run, "AAPL", stamp(4))
    submission, *_, started = run.collect_events()
    folded = fold(None, [submission, started])
    assert folded is not None
    assert (folded.events, folded.branches) == (1, {})
