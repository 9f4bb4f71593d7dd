"""Runs whose steps run side by side: how a stage opens, closes and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.branch import Branch
from shared.domain.catalogue import OnError, StepDescription, StepKind
from shared.domain.deciding import guarded_version
from shared.domain.errors import Refused, StaleAttempt
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Member, StageClosed, StageOpened
from shared.domain.execution_records import StepState
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.views import step_views
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


def test_to_come_to_a_stage_is_a_boundary_for_who_counts_lost_workers() -> None:
    """A run that gets that far does not kill its worker."""
    run = before_stage()
    for attempt in (1, 2):
        run.lose_worker(stamp(3), attempt=attempt, worker=WORKER, reason="no heartbeat", max_losses=3)
        run.claim(stamp(4), attempt=attempt + 1, worker=WORKER)
    open_stage(run, stamp(5))
    assert run.losses == 0


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


def test_a_member_is_found_by_its_stage_step_and_symbol_and_made_when_asked_for() -> None:
    """One that no stage has is refused. The last of a stage come first for who asks whether all have ended."""
    run = at_join()
    assert list(run.stages.touched(after=0)) == []
    branch = run.branch(1, "analyse", "MSFT")
    assert list(run.stages.touched(after=0)) == [branch]
    assert (branch.key, run.branch(1, "analyse", "MSFT") is branch) == (("analyse", "MSFT"), True)
    assert list(run.stages.newest_first(1)) == [each.id for each in reversed(run.stage())]
    for unknown in ((2, "analyse", "MSFT"), (1, "rank", "MSFT"), (1, "analyse", None)):
        with pytest.raises(Refused, match="has opened no stage"):
            run.branch(*unknown)


def test_a_branch_finds_what_feeds_it() -> None:
    """A step for a symbol takes that symbol's outputs; one that runs once a run all, by way of other steps too."""
    run = joined()
    assert run.branches_into("rank", "MSFT") == [run.members["analyse", "MSFT"]]
    assert run.branches_into("decide", None) == run.stage()
    assert run.branches_into("analyse", "AAPL") == run.branches_into("load", None) == []
    group = before_stage(steps=GROUP_PLAN)
    group.open_stage(stamp(3), attempt=1, members=[("prices", None), ("volumes", None)])
    assert [branch.step for branch in group.branches_into("decide", None)] == ["prices", "volumes"]


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


def test_an_order_of_a_run_at_a_join_is_settled_from_outside() -> None:
    """No attempt is at work that would settle it, and no order is requested before the stage is over."""
    run = before_stage()
    run.request_order(stamp(2), attempt=1, client_order_id="o-1", step="load", symbol=None, order=order())
    open_stage(run, stamp(3))
    with pytest.raises(StaleAttempt):
        run.request_order(stamp(4), attempt=1, client_order_id="o-2", step="load", symbol=None, order=order())
    run.resolve_order(stamp(4), client_order_id="o-1", outcome=outcome())
    assert (run.orders["o-1"].is_open, run.phase) == (False, Phase.AT_JOIN)
