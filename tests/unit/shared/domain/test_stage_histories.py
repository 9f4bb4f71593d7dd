"""Whatever happens to a run whose steps run side by side, in any order that its commands allow: what always holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.domain.branch_events import BranchClosed, BranchEvent, BranchRetryDue
from shared.domain.catalogue import OnError, StepDescription
from shared.domain.deciding import guarded_version
from shared.domain.errors import Refused
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Restarted, StageClosed, Submitted, Succeeded
from shared.domain.execution_records import StepKey, StepRecord, StepState
from shared.domain.phases import Phase
from shared.domain.views import task_view
from shared.log.mapper import MsgspecMapper
from tests.builders import PARALLEL_PLAN, at_join, parallel_plan, submitted
from tests.histories import ACTIONS, GO_ON, STAGE_ACTIONS, act, act_on_branch, seen

LIVELY = (
    *3 * ("claim", "complete", "open", "settle"),
    *6 * ("start", "finish"),
    *2 * ("break", "put off", "wake", "bereave", "nudge", "yield", "close", GO_ON),
    *("cancel", "succeed", "lose", "time out", "collect", "fail"),
)
"""What happens to runs that come to their stages, and through them."""

MOVES = st.lists(st.sampled_from(LIVELY) | st.sampled_from((*ACTIONS, *STAGE_ACTIONS, GO_ON)), max_size=50)
PLANS = st.sampled_from(
    (
        PARALLEL_PLAN,
        parallel_plan(on_error=OnError.FAIL),
        (*PARALLEL_PLAN[:2], parallel_plan(name="check", inputs=("analyse",))[1], *PARALLEL_PLAN[2:]),
    )
)
BEGINNINGS: st.SearchStrategy[Callable[..., WorkflowExecution]] = st.sampled_from((submitted, at_join))
TIMEOUTS = st.sampled_from((3600.0, 15.0))


@st.composite
def runs(draw: st.DrawFn) -> WorkflowExecution:
    """A run that anything has happened to, its events still to be collected."""
    run = draw(BEGINNINGS)(steps=draw(PLANS), timeout_seconds=draw(TIMEOUTS))
    for second, action in enumerate(draw(MOVES), start=4):
        act(run, action, second)
    return run


def prefixes(events: list[Event]) -> Iterator[tuple[WorkflowExecution, Event, WorkflowExecution]]:
    """Yield each event with the run before and after it, as two folds that share nothing."""
    before = fold(None, events[:1])
    after = fold(None, events[:1])
    for number, event in enumerate(events[1:], start=2):
        after = fold(after, [event])
        assert before is not None
        assert after is not None
        yield before, event, after
        before = fold(before, events[number - 1 : number])


def settled(run: WorkflowExecution) -> dict[StepKey, StepRecord]:
    """The positions that are over of their own, and how they ended."""
    return {key: record for key, record in run.steps.items() if record.settled}


@examples(deadline=None)
@given(run=runs())
def test_a_fold_over_the_streams_of_a_run_and_its_branches_is_the_run_that_decided_them(run: WorkflowExecution) -> None:
    """Through JSON and back, in the order of the log."""
    events = list(run.collect_events())
    mapper = MsgspecMapper()
    stored = [mapper.to_domain_event(mapper.to_stored_event(event)) for event in events]
    assert stored == events
    assert seen(fold(None, stored)) == seen(run)


@examples(deadline=None)
@given(run=runs(), data=st.data())
def test_events_of_branches_that_arrive_again_change_nothing(run: WorkflowExecution, data: st.DataObject) -> None:
    """Each one twice, and any earlier stretch of the log once more after it."""
    events = list(run.collect_events())
    folded: WorkflowExecution | None = None
    for number in range(len(events)):
        back = data.draw(st.integers(0, number))
        folded = fold(folded, events[number - back : number + 1])
        folded = fold(folded, events[number : number + 1])
    assert seen(folded) == seen(run)


@examples(deadline=None)
@given(run=runs())
def test_versions_have_no_gap_in_any_stream_of_a_run(run: WorkflowExecution) -> None:
    """The run's own and each branch's are numbered 1, 2, 3 ..., and the view counts them all."""
    streams: dict[object, list[int]] = {}
    events = run.collect_events()
    for event in events:
        streams.setdefault(event.originator_id, []).append(event.originator_version)
    assert all(versions == list(range(1, len(versions) + 1)) for versions in streams.values())
    assert streams.keys() <= {run.id} | run.branches.keys()
    assert task_view(run).version == len(events)


@examples(deadline=None)
@given(run=runs())
def test_a_settled_position_is_never_settled_again(run: WorkflowExecution) -> None:
    """What is completed stays as it is for ever; a failure does, until a restart has its step tried again."""
    for before, event, after in prefixes(list(run.collect_events())):
        known, now = settled(before), settled(after)
        if isinstance(event, Restarted):
            known = {key: record for key, record in known.items() if record.state is StepState.COMPLETED}
            assert now.items() >= known.items()
            assert {key for key in now if key not in known} <= settled(before).keys()
        else:
            assert now.items() >= known.items()
            assert len(now) <= len(known) + 1


@examples(deadline=None)
@given(run=runs())
def test_a_branch_adds_to_its_run_only_while_its_stage_is_open(run: WorkflowExecution) -> None:
    """While the run is being cancelled only with what it has finished; afterwards it closes, and changes nothing."""
    for before, event, after in prefixes(list(run.collect_events())):
        if not isinstance(event, BranchEvent):
            continue
        assert event.originator_id in before.branches
        if before.in_stage and event.opening == before.opening:
            allowed = before.phase is Phase.AT_JOIN or event.TOPIC in ("branch.completed", "branch.closed")
            assert allowed
            assert not (isinstance(event, BranchClosed) and before.phase is Phase.AT_JOIN)
        else:
            assert isinstance(event, BranchClosed)
            assert (before.steps, before.phase, before.version) == (after.steps, after.phase, after.version)


@examples(deadline=None)
@given(run=runs(), data=st.data())
def test_no_command_of_a_branch_gets_around_the_state_of_its_run(run: WorkflowExecution, data: st.DataObject) -> None:
    """Every branch that ever was is told to do everything, wherever the history has led."""
    events = list(run.collect_events())
    for branch_id in run.branches:
        for action in STAGE_ACTIONS:
            trial = fold(None, events)
            assert trial is not None
            branch = trial.branches[branch_id]
            may_add = trial.in_stage and branch.opening == trial.opening
            attempt = branch.attempts + data.draw(st.sampled_from((0, 0, -1, 1)))
            is_own = attempt == branch.attempts
            with suppress(Refused):
                act_on_branch(branch, action, 1000, attempt=attempt)
            decided = trial.collect_events()
            if not may_add:
                assert all(isinstance(event, BranchClosed) for event in decided)
            if not is_own:
                assert all(isinstance(event, BranchRetryDue) for event in decided)
            if branch.key in settled(run):
                assert settled(trial)[branch.key] == settled(run)[branch.key]


@examples(deadline=None)
@given(run=runs())
def test_a_run_goes_on_or_succeeds_only_when_all_of_its_members_are_settled(run: WorkflowExecution) -> None:
    """Neither a stage closes nor a run ends well over one that has not ended."""
    for before, event, _ in prefixes(list(run.collect_events())):
        if isinstance(event, StageClosed):
            assert all(branch.phase in (Phase.SUCCEEDED, Phase.FAILED) for branch in before.stage())
            assert event.completed + event.failed == len(before.stage())
            assert all(before.is_settled(branch.key) for branch in before.stage())
        if isinstance(event, Succeeded):
            assert not before.in_stage
            assert before.next_position() is None
            assert all(before.is_settled(key) for key in before.members)


@examples(deadline=None)
@given(run=runs())
def test_nobody_works_on_a_stage_while_the_main_line_does(run: WorkflowExecution) -> None:
    """The members of the last opening are at work at a join alone; one that has ended there has an end in the log."""
    for _, _, after in prefixes(list(run.collect_events())):
        if after.phase in (Phase.RUNNING, Phase.JOINED, Phase.SUCCEEDED):
            assert not any(branch.at_work for branch in after.members.values())
        if after.phase in (Phase.AT_JOIN, Phase.JOINED):
            assert after.attempt_started_at is None


@examples(deadline=None)
@given(run=runs())
def test_events_that_are_appended_together_say_what_they_were_decided_on(run: WorkflowExecution) -> None:
    """Those of branches alone assert the version of the run's own stream, which none of them moves."""
    appends: dict[object, list[Event]] = {}
    for event in run.collect_events():
        appends.setdefault(event.append_id, []).append(event)
    done: list[Event] = []
    for together in appends.values():
        before = fold(None, done)
        after = fold(None, [*done, *together])
        assert after is not None
        version = guarded_version(after, together)
        if all(isinstance(event, BranchEvent) for event in together):
            assert before is not None
            assert version == before.version == after.version
        else:
            assert version is None
        done += together


@examples(deadline=None)
@given(run=runs())
def test_progress_of_a_stage_never_goes_backwards_but_for_a_restart(run: WorkflowExecution) -> None:
    """Whatever order members end in; and a restart takes back only what had failed."""
    for before, event, after in prefixes(list(run.collect_events())):
        was, now = task_view(before).progress, task_view(after).progress
        if isinstance(event, Restarted):
            continue
        assert (now.completed_steps, len(now.completed_symbols)) >= (was.completed_steps, len(was.completed_symbols))
        assert was.fraction <= now.fraction <= 1.0


@examples(deadline=None)
@given(run=runs())
def test_time_at_work_only_grows_but_for_a_restart(run: WorkflowExecution) -> None:
    """No event gives time back, and none takes more than has gone by."""
    for before, event, after in prefixes(list(run.collect_events())):
        if not isinstance(event, Restarted):
            gone_by = event.at - before.changed_at
            assert before.time_left(before.changed_at) - gone_by <= after.time_left(event.at)
            assert after.time_left(event.at) <= before.time_left(before.changed_at)


def test_the_histories_come_to_every_move_of_runs_and_branches() -> None:
    """What is shown of them is shown of something: each topic comes up, and runs end and go on in every way."""
    chance = Random(1)
    seen_topics: Counter[str] = Counter()
    ends: Counter[Phase] = Counter()
    for number in range(300):
        plan: tuple[StepDescription, ...] = PARALLEL_PLAN if number % 2 else parallel_plan(on_error=OnError.FAIL)
        run = at_join(steps=plan, timeout_seconds=15.0 if number % 10 == 0 else 3600.0)
        for second in range(4, 54):
            act(run, chance.choice(LIVELY), second)
        seen_topics.update(event.TOPIC for event in run.collect_events())
        ends[run.phase] += 1
    assert {topic for topic in seen_topics if topic.startswith("branch.")} == {
        *("branch.attempt_started", "branch.completed", "branch.failed", "branch.closed"),
        *("branch.retry_scheduled", "branch.retry_due", "branch.worker_lost"),
        *("branch.preemption_requested", "branch.preempted"),
    }
    assert min(seen_topics[topic] for topic in ("execution.stage_closed", "execution.restarted")) > 30
    assert {Phase.AT_JOIN, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.CANCELLING} <= set(ends)
    assert Submitted.TOPIC in seen_topics
