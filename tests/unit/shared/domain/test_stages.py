"""Runs whose steps run side by side: how a stage opens, closes and ends, and what is seen of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.branch import Branch, time_at_work
from shared.domain.catalogue import OnError, StepDescription, StepKind
from shared.domain.deciding import guarded_version
from shared.domain.errors import NotRetrying, Refused, StaleAttempt
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Artifact, Cancelled, CancelRequested, Member, StageClosed, StageOpened
from shared.domain.execution_records import StepState
from shared.domain.outputs import ObjectRef, Output
from shared.domain.phases import Phase
from shared.domain.views import step_views, task_view
from tests.builders import (
    PARALLEL_PLAN,
    WORKER,
    at_join,
    claimed,
    complete_all,
    complete_member,
    complete_next,
    fail_member,
    failure,
    in_phase,
    joined,
    open_stage,
    order,
    outcome,
    parallel_plan,
    retry_member,
    running,
    stamp,
)

STRICT = parallel_plan(on_error=OnError.FAIL)
GROUP_PLAN = (
    StepDescription(name="load"),
    StepDescription(name="prices", kind=StepKind.PARALLEL, group="charts", inputs=("load",)),
    StepDescription(name="volumes", kind=StepKind.PARALLEL, group="charts", inputs=("load",)),
    StepDescription(name="decide", inputs=("prices", "volumes")),
)
"""Two steps, each of them once a run, side by side."""


def before_stage(**changes: Any) -> WorkflowExecution:
    """A run at work whose next step runs side by side, with nothing left to collect."""
    run = running(**({"steps": PARALLEL_PLAN} | changes))
    complete_next(run, stamp(2))
    run.collect_events()
    return run


def test_a_stage_has_a_member_for_each_position_with_the_limits_that_hold_for_it() -> None:
    """Those of the run and of its step; how many run at once is said by the step."""
    run = before_stage(steps=parallel_plan(limits={"venue:alpaca": 5}, max_parallel=4), limits={"account:paper": 2})
    open_stage(run, stamp(3))
    [opened] = run.collect_events()
    assert isinstance(opened, StageOpened)
    limits = {"venue:alpaca": 5, "account:paper": 2}
    assert opened.members == tuple(
        Member(step="analyse", symbol=symbol, limits=limits) for symbol in run.submitted.symbols
    )
    assert (opened.attempt, opened.opening, opened.max_parallel) == (1, 1, 4)
    assert [(branch.key, branch.phase) for branch in run.stage()] == [
        (("analyse", "AAPL"), Phase.WAITING),
        (("analyse", "MSFT"), Phase.WAITING),
    ]


@pytest.mark.parametrize(("most", "expected"), [((None, None), None), ((3, None), 3), ((3, 2), 2)])
def test_of_steps_in_one_group_the_smallest_number_holds(
    most: tuple[int | None, int | None], expected: int | None
) -> None:
    """A group is one stage, and each of its steps a member without a symbol."""
    load, *group, decide = GROUP_PLAN
    steps = [StepDescription(name=s.name, group=s.group, max_parallel=n) for s, n in zip(group, most, strict=True)]
    run = before_stage(steps=(load, *steps, decide))
    run.open_stage(stamp(3), attempt=1, members=[("prices", None), ("volumes", None)])
    [opened] = run.collect_events()
    assert isinstance(opened, StageOpened)
    assert opened.max_parallel == expected
    assert set(run.members) == {("prices", None), ("volumes", None)}


def test_the_attempt_that_opens_a_stage_ends_with_it() -> None:
    """It may not add to the run any more, and its time at work is over."""
    run = at_join(timeout_seconds=60.0)
    assert run.time_left(stamp(1000).at) == timedelta(seconds=58)
    commands: Sequence[Callable[[], None]] = (
        lambda: complete_next(run, stamp(4)),
        lambda: run.open_stage(stamp(4), attempt=1, members=[("decide", None)]),
        lambda: run.fail(stamp(4), attempt=1, failure=failure()),
        lambda: run.lose_worker(stamp(4), attempt=1, worker=WORKER, reason="no heartbeat", max_losses=1),
        lambda: run.end_cancelled(stamp(4), attempt=1),
    )
    run.collect_events()
    for command in commands:
        with pytest.raises(StaleAttempt):
            command()
    claimed(run, "AAPL", stamp(4))
    run.request_cancel(stamp(4))
    run.collect_events()
    for command in commands:
        with pytest.raises(StaleAttempt):
            command()
    assert run.collect_events() == []


@pytest.mark.parametrize("members", [[], [("load", None)], [("analyse", "AAPL"), ("load", None)]])
def test_no_stage_is_opened_of_nothing_or_of_what_is_settled(members: list[tuple[str, str | None]]) -> None:
    """A completed step never runs again."""
    run = before_stage()
    with pytest.raises(Refused, match="cannot open a stage"):
        run.open_stage(stamp(3), attempt=1, members=members)
    assert run.collect_events() == []


def test_no_stage_is_opened_of_what_was_left_out() -> None:
    """A symbol whose input failed has nothing to run on."""
    run = before_stage()
    run.collect_failure(stamp(3), attempt=1, step="analyse", symbol="AAPL", failure=failure(), started_at=stamp(2).at)
    with pytest.raises(Refused, match="cannot open a stage"):
        run.open_stage(stamp(4), attempt=1, members=[("rank", "AAPL")])


def test_no_stage_is_opened_by_an_older_attempt_or_while_the_run_is_being_cancelled() -> None:
    """The worker that holds the run obeys instead."""
    run = before_stage()
    with pytest.raises(StaleAttempt):
        run.open_stage(stamp(3), attempt=0, members=[("analyse", "AAPL")])
    run.request_cancel(stamp(3))
    with pytest.raises(Refused):
        open_stage(run, stamp(4))
    assert run.phase is Phase.CANCELLING


def test_a_stage_closes_when_its_last_member_has_ended() -> None:
    """Not sooner, and once; who counts which ended how finds it in the event."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4))
    with pytest.raises(Refused, match="not all members"):
        run.settle_stage(stamp(4))
    fail_member(run, "MSFT", stamp(5))
    run.collect_events()
    run.settle_stage(stamp(5))
    [closed] = run.collect_events()
    assert isinstance(closed, StageClosed)
    assert (closed.opening, closed.completed, closed.failed) == (1, 1, 1)
    assert (run.phase, run.in_stage) == (Phase.JOINED, False)
    with pytest.raises(Refused):
        run.settle_stage(stamp(6))


@pytest.mark.parametrize("member", [Phase.WAITING, Phase.RUNNING, Phase.RETRY_WAIT, Phase.RETRY_DUE])
def test_a_stage_with_a_member_that_has_not_ended_does_not_close(member: Phase) -> None:
    """Whatever it waits for."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4))
    if member is Phase.RUNNING:
        claimed(run, "MSFT", stamp(4))
    if member in (Phase.RETRY_WAIT, Phase.RETRY_DUE):
        retry_member(run, "MSFT", stamp(4))
    if member is Phase.RETRY_DUE:
        run.retry_now(stamp(5))
    assert run.members["analyse", "MSFT"].phase is member
    with pytest.raises(Refused):
        run.settle_stage(stamp(6))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.AT_JOIN])
def test_only_a_run_with_an_open_stage_is_settled_or_fails_in_it(phase: Phase) -> None:
    """Everyone else is answered with a refusal, so that whoever comes second learns it."""
    run = in_phase(phase)
    run.collect_events()
    with pytest.raises(Refused):
        run.settle_stage(stamp(9))
    with pytest.raises(Refused):
        run.fail_in_stage(stamp(9), failure=failure())
    with pytest.raises(Refused):
        run.time_out_in_stage(stamp(9999))
    assert run.collect_events() == []


def test_a_joined_run_goes_on_with_its_next_attempt_after_the_stage() -> None:
    """What failed for a symbol leaves that symbol out; the run may still succeed."""
    run = at_join()
    fail_member(run, "AAPL", stamp(4))
    complete_member(run, "MSFT", stamp(5))
    run.settle_stage(stamp(5))
    run.claim(stamp(6), attempt=2, worker="other")
    assert run.next_position() == ("rank", "MSFT")
    complete_all(run, stamp(7))
    assert (run.phase, run.attempts) == (Phase.SUCCEEDED, 2)
    assert [view.state for view in step_views(run)] == [
        StepState.COMPLETED,
        StepState.FAILED,
        StepState.COMPLETED,
        StepState.SKIPPED,
        StepState.COMPLETED,
        StepState.COMPLETED,
    ]


def test_a_run_does_not_succeed_while_it_waits_at_the_join() -> None:
    """Neither its old attempt nor a new one can say so."""
    run = at_join()
    with pytest.raises(StaleAttempt):
        run.succeed(stamp(4), attempt=1, result=Output())
    with pytest.raises(Refused):
        run.claim(stamp(4), attempt=2, worker=WORKER)


def test_a_stage_of_which_every_member_failed_closes_too() -> None:
    """What that means for the run is decided by who goes on with it."""
    run = at_join()
    for symbol in run.submitted.symbols:
        fail_member(run, symbol, stamp(4))
    run.settle_stage(stamp(5))
    [*_, closed] = run.collect_events()
    assert isinstance(closed, StageClosed)
    assert (closed.completed, closed.failed, run.next_position()) == (0, 2, ("decide", None))


def test_a_run_has_one_stage_after_the_other() -> None:
    """The second has streams of its own, and what came of the first stays."""
    plan = (*PARALLEL_PLAN[:2], parallel_plan(name="check", inputs=("analyse",))[1], *PARALLEL_PLAN[2:])
    run = joined(steps=plan)
    first = {branch.id for branch in run.stage()}
    run.claim(stamp(6), attempt=2, worker=WORKER)
    open_stage(run, stamp(7))
    assert (run.opening, [branch.key for branch in run.stage()]) == (2, [("check", "AAPL"), ("check", "MSFT")])
    assert first.isdisjoint(branch.id for branch in run.stage())
    for branch in run.stage():
        branch.claim(stamp(8), attempt=1, worker=WORKER)
        branch.complete(stamp(9), attempt=1, output=Output(), started_at=stamp(8).at)
    run.settle_stage(stamp(9))
    assert run.next_position() == ("rank", "AAPL")


def test_steps_of_a_group_are_joined_like_the_symbols_of_a_step() -> None:
    """Each has its own output, and the step after them comes when both have ended."""
    run = before_stage(steps=GROUP_PLAN)
    run.open_stage(stamp(3), attempt=1, members=[("prices", None), ("volumes", None)])
    for second, name in ((4, "volumes"), (5, "prices")):
        branch = run.members[name, None]
        branch.claim(stamp(second), attempt=1, worker=WORKER)
        branch.complete(stamp(second), attempt=1, output=Output(inline=name), started_at=stamp(second).at)
        assert run.next_position() == (("prices", None) if name == "volumes" else ("decide", None))
    run.settle_stage(stamp(5))
    assert run.steps["volumes", None].output == Output(inline="volumes")


def test_a_branch_finds_what_feeds_it() -> None:
    """A step for a symbol takes that symbol's outputs; one that runs once a run all, by way of other steps too."""
    run = joined()
    assert run.branches_into("rank", "MSFT") == [run.members["analyse", "MSFT"]]
    assert run.branches_into("decide", None) == run.stage()
    assert run.branches_into("analyse", "AAPL") == run.branches_into("load", None) == []
    group = before_stage(steps=GROUP_PLAN)
    group.open_stage(stamp(3), attempt=1, members=[("prices", None), ("volumes", None)])
    assert [branch.step for branch in group.branches_into("decide", None)] == ["prices", "volumes"]


# The end of a run in a stage


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


# Time


def test_time_of_branches_that_are_at_work_at_once_counts_once() -> None:
    """And time in which none is at work not at all; the attempts before and after count too."""
    run = at_join(timeout_seconds=100.0)
    assert run.time_left(stamp(10).at) == timedelta(seconds=98)
    claimed(run, "AAPL", stamp(10))
    claimed(run, "MSFT", stamp(15))
    assert run.time_left(stamp(18).at) == timedelta(seconds=90)
    complete_member(run, "AAPL", stamp(20))
    assert run.time_left(stamp(22).at) == timedelta(seconds=86)
    retry_member(run, "MSFT", stamp(25))
    assert run.time_left(stamp(500).at) == timedelta(seconds=83)
    run.retry_now(stamp(500))
    complete_member(run, "MSFT", stamp(501))
    run.settle_stage(stamp(501))
    run.claim(stamp(600), attempt=2, worker=WORKER)
    assert run.time_left(stamp(603).at) == timedelta(seconds=80)


def seconds_at_work(spans: Sequence[tuple[int, int | None]], now: int) -> int:
    """Count the seconds in which something was at work, one by one."""
    return len({second for start, end in spans for second in range(start, now if end is None else end)})


SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 30)).map(lambda span: (span[0], span[0] + span[1])), max_size=8
)


@given(spans=SPANS, open_since=st.none() | st.integers(0, 80))
def test_time_at_work_is_that_of_all_spans_laid_over_one_another(
    spans: list[tuple[int, int]], open_since: int | None
) -> None:
    """However they overlap, touch or contain one another, and whether the last one still goes on."""
    run = at_join()
    first, second = run.stage()
    now = 80
    worked = [*spans, *([(open_since, None)] if open_since is not None else [])]
    for number, (start, end) in enumerate(worked):
        at_once: list[tuple[datetime, datetime | None]] = (first, second)[number % 2].worked
        at_once.append((stamp(start).at, None if end is None else stamp(end).at))
    expected = timedelta(seconds=seconds_at_work(worked, now))
    assert time_at_work([first, second], stamp(now).at) == expected


def test_a_run_past_its_time_fails_at_the_join() -> None:
    """No step is to blame, and the members at work are stopped."""
    run = at_join(timeout_seconds=12.0)
    branch = claimed(run, "AAPL", stamp(10))
    with pytest.raises(Refused, match="time left"):
        run.time_out_in_stage(stamp(19.9))
    run.time_out_in_stage(stamp(20))
    assert run.failure is not None
    assert (run.failure.failure.type, run.failure.failure.timed_out) == ("timeout", True)
    assert (run.failure.step, run.failure.symbol, run.phase) == (None, None, Phase.FAILED)
    with pytest.raises(Refused):
        branch.complete(stamp(21), attempt=1, output=Output(), started_at=stamp(10).at)


def test_a_run_at_a_join_in_which_nobody_is_at_work_has_all_the_time_in_the_world() -> None:
    """Waiting costs nothing."""
    run = at_join(timeout_seconds=12.0)
    with pytest.raises(Refused, match="time left"):
        run.time_out_in_stage(stamp(100_000))


def test_a_run_that_is_being_cancelled_does_not_time_out_at_the_join() -> None:
    """Only cancelled may end it."""
    run = at_join(timeout_seconds=12.0)
    claimed(run, "AAPL", stamp(10))
    run.request_cancel(stamp(11))
    with pytest.raises(Refused, match="waits at no join"):
        run.time_out_in_stage(stamp(100))


# Retries


def test_retrying_now_ends_the_delay_of_every_branch_that_waits_for_a_retry() -> None:
    """The others are left as they are; once the delays are over, asking again changes nothing."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"))
    retry_member(run, "AAPL", stamp(4))
    retry_member(run, "MSFT", stamp(4))
    claimed(run, "IBM", stamp(4))
    run.collect_events()
    run.retry_now(stamp(5))
    assert [branch.phase for branch in run.stage()] == [Phase.RETRY_DUE, Phase.RETRY_DUE, Phase.RUNNING]
    assert len(run.collect_events()) == 2
    run.retry_now(stamp(6))
    assert run.collect_events() == []


def test_a_stage_in_which_no_branch_waits_for_a_retry_has_nothing_to_bring_forward() -> None:
    """Waiting for a worker is no retry."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4))
    run.collect_events()
    with pytest.raises(NotRetrying):
        run.retry_now(stamp(5))
    assert run.collect_events() == []


# What is seen of it


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
    """But for those that are done."""
    run = at_join()
    complete_member(run, "MSFT", stamp(4))
    claimed(run, "AAPL", stamp(4))
    run.request_cancel(stamp(5))
    assert states(run) == [StepState.RUNNING, StepState.COMPLETED]
    run.members["analyse", "AAPL"].close(stamp(6), attempt=1, reason="its task is being cancelled")
    run.settle_stage(stamp(6))
    assert states(run) == [StepState.CANCELLED, StepState.COMPLETED]


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


# What an append must assert


def test_events_of_branches_alone_are_appended_only_while_their_run_stands_where_it_stood() -> None:
    """They do not touch the run's stream, whose next version would otherwise catch a cancellation in between."""
    run = at_join()
    run.collect_events()
    complete_member(run, "AAPL", stamp(4))
    assert guarded_version(run, run.collect_events()) == run.version


def test_events_of_the_run_guard_themselves() -> None:
    """Alone, or together with a branch's: their own version is taken when somebody else was faster."""
    run = at_join(steps=STRICT)
    assert guarded_version(run, run.collect_events()) is None
    fail_member(run, "AAPL", stamp(4))
    events = run.collect_events()
    assert {event.originator_id == run.id for event in events} == {True, False}
    assert guarded_version(run, events) is None
    assert guarded_version(run, []) is None


def _members(run: WorkflowExecution) -> list[Branch]:
    return [run.members["analyse", symbol] for symbol in run.submitted.symbols]


def test_who_reads_one_branch_decides_on_it_as_who_reads_all() -> None:
    """An open stage is settled in part then, and the member's own record, attempts and run are the same."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4))
    retry_member(run, "MSFT", stamp(5))
    whole, mine = _members(run)
    events = [event for event in run.collect_events() if event.originator_id != whole.id]
    part = fold(None, events)
    assert part is not None
    branch = part.branches[mine.id]
    assert (branch.phase, branch.attempts, branch.retries, part.phase) == (
        *(mine.phase, mine.attempts, mine.retries),
        run.phase,
    )
    assert not part.is_settled(("analyse", "AAPL"))
    branch.fall_due(stamp(6))
    [due] = part.collect_events()
    assert guarded_version(part, [due]) == run.version
    run.apply(due)
    assert mine.phase is Phase.RETRY_DUE


# Orders


def test_an_order_of_a_run_at_a_join_is_settled_from_outside() -> None:
    """No attempt is at work that would settle it, and no order is requested before the stage is over."""
    run = before_stage()
    run.request_order(stamp(2), attempt=1, client_order_id="o-1", step="load", symbol=None, order=order())
    open_stage(run, stamp(3))
    with pytest.raises(StaleAttempt):
        run.request_order(stamp(4), attempt=1, client_order_id="o-2", step="load", symbol=None, order=order())
    run.resolve_order(stamp(4), client_order_id="o-1", outcome=outcome())
    assert (run.orders["o-1"].is_open, run.phase) == (False, Phase.AT_JOIN)
