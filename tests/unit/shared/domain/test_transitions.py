"""The table of legal moves: commands and fold keep to it, and events may arrive twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import execution_events as happened
from shared.domain.errors import Refused
from shared.domain.events import EVENTS, Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import OrderOutcome
from shared.domain.orders import OrderState
from shared.domain.outputs import Output
from shared.domain.phases import TRANSITIONS, Phase
from shared.domain.views import task_view
from shared.log.mapper import MsgspecMapper
from tests.builders import (
    WORKER,
    complete_member,
    complete_next,
    failure,
    in_phase,
    order,
    outcome,
    running,
    stamp,
    submitted,
)
from tests.histories import ACTIONS, act, seen

STEP: dict[str, Any] = {"step": "load", "symbol": None, "started_at": stamp(8).at}
ORDER = "o-1"


def _attempt(run: WorkflowExecution) -> dict[str, Any]:
    return {"attempt": run.attempts}


def _succeed(run: WorkflowExecution) -> None:
    """End a run that has nothing left to do."""
    run.left_out.update(run.positions())
    run.succeed(stamp(9), **_attempt(run), result=Output())


def _accept(run: WorkflowExecution) -> None:
    """Settle the open order: as the attempt at work, or from outside when none is."""
    if run.phase.at_work:
        run.settle_order(stamp(9), **_attempt(run), client_order_id=ORDER, outcome=outcome())
    else:
        run.resolve_order(stamp(9), client_order_id=ORDER, outcome=outcome())


def _refuse(run: WorkflowExecution) -> None:
    """Settle the open order with a refusal: as the attempt at work, or from outside when none is."""
    if run.phase.at_work:
        run.reject_order(stamp(9), **_attempt(run), client_order_id=ORDER, reason="no money")
    else:
        run.resolve_order(stamp(9), client_order_id=ORDER, outcome=None, reason="no money")


def _doubt(run: WorkflowExecution) -> None:
    """Say that nobody knows of the open order: as the attempt at work, or by who gives it up when none is."""
    if run.phase.at_work:
        run.doubt_order(stamp(9), **_attempt(run), client_order_id=ORDER, reason="no answer")
    else:
        run.give_up_order(stamp(9), client_order_id=ORDER, reason="no answer")


def _follow(run: WorkflowExecution) -> None:
    """Say that an order which the venue has taken is filled."""
    run.orders[ORDER] = msgspec.structs.replace(run.orders[ORDER], state=OrderState.PLACED, outcome=outcome())
    run.follow_order(stamp(9), client_order_id=ORDER, outcome=outcome(state="filled", filled_quantity="10"))


def _make_way(run: WorkflowExecution) -> None:
    """Obey a request to make way that the run has heard of."""
    run.yields_to = "t-2"
    run.make_way(stamp(9), **_attempt(run))


def _settle(run: WorkflowExecution) -> None:
    """Close a stage, or the run that is being cancelled, whose members have all ended."""
    if run.phase is Phase.AT_JOIN:
        for symbol in run.submitted.symbols:
            complete_member(run, symbol, stamp(9))
        run.collect_events()
    run.settle_stage(stamp(9))


def _fail(run: WorkflowExecution) -> None:
    """Fail: as the attempt at work, or while the run waits at a join."""
    if run.phase is Phase.AT_JOIN:
        run.fail_in_stage(stamp(9), failure=failure())
    else:
        run.fail(stamp(9), **_attempt(run), failure=failure())


def _cancel(run: WorkflowExecution) -> None:
    """Ask for the end; one that was asked already is asked by force."""
    run.request_cancel(stamp(9), force=run.phase is Phase.CANCELLING)


COMMANDS: dict[type[Event], Callable[[WorkflowExecution], None]] = {
    happened.Released: lambda run: run.release(stamp(9)),
    happened.AttemptStarted: lambda run: run.claim(stamp(9), attempt=run.attempts + 1, worker=WORKER),
    happened.StepCompleted: lambda run: run.complete_step(stamp(9), **_attempt(run), **STEP, output=Output()),
    happened.FailureCollected: lambda run: run.collect_failure(
        stamp(9), **_attempt(run), **(STEP | {"symbol": "AAPL"}), failure=failure()
    ),
    happened.RetryScheduled: lambda run: run.schedule_retry(
        stamp(9), **_attempt(run), **STEP, failure=failure(), due_at=stamp(10).at
    ),
    happened.RetryDue: lambda run: run.fall_due(stamp(9)),
    happened.OrderRequested: lambda run: run.request_order(
        stamp(9), **_attempt(run), client_order_id="o-2", step="load", symbol=None, order=order()
    ),
    happened.OrderPlaced: _accept,
    happened.OrderRejected: _refuse,
    happened.OrderUpdated: _follow,
    happened.OrderAmbiguous: _doubt,
    happened.WorkerLost: lambda run: run.lose_worker(
        stamp(9), **_attempt(run), worker=WORKER, reason="no heartbeat", max_losses=3
    ),
    happened.PreemptionRequested: lambda run: run.request_preemption(stamp(9), **_attempt(run), preempted_by="t-2"),
    happened.Preempted: lambda run: _make_way(run),
    happened.CancelRequested: _cancel,
    happened.Cancelled: lambda run: run.end_cancelled(stamp(9), **_attempt(run)),
    happened.Succeeded: lambda run: _succeed(run),
    happened.Failed: _fail,
    happened.StageOpened: lambda run: run.open_stage(stamp(9), **_attempt(run), members=[("decide", None)]),
    happened.StageClosed: _settle,
    happened.Restarted: lambda run: run.retry_now(stamp(9)),
    happened.StepsTakenOver: lambda run: run.take_over(stamp(9), from_task="t-0", steps=()),
}

ENDING_A_CANCELLED_RUN = (happened.CancelRequested, happened.WorkerLost)
"""After these, a run that is being cancelled and that no worker holds is cancelled in the same append."""

LATE = (happened.OrderPlaced, happened.OrderUpdated, happened.OrderRejected, happened.OrderAmbiguous)
"""What may still become of the orders of a run that has ended."""

ANSWERED_WITH_NOTHING = {
    (happened.CancelRequested, Phase.CANCELLED),
    (happened.Restarted, Phase.RETRY_DUE),
}
"""Asking again for what is on its way, or has come, is answered with nothing instead of a refusal."""

ANSWERED_WITH_ANOTHER: dict[tuple[type[Event], Phase], type[Event]] = {
    (happened.Restarted, Phase.RETRY_WAIT): happened.RetryDue
}
"""A run that is asked to go on now does what there is to do: one that waits for its retry waits no more."""


def standing(phase: Phase) -> WorkflowExecution:
    """A run in `phase` that has an order in its ledger, with nothing left to collect."""
    run = in_phase(phase)
    requested = running()
    requested.request_order(stamp(2), attempt=1, client_order_id=ORDER, step="load", symbol=None, order=order())
    run.orders.update(requested.orders)
    run.collect_events()
    return run


def test_every_event_of_a_run_but_the_first_has_its_row_and_its_command() -> None:
    """A new event without a row in the table, or without a command here, is found."""
    known = {EVENTS[topic] for topic in EVENTS.topics if topic.startswith("execution.")}
    assert set(TRANSITIONS) == set(COMMANDS) == known - {happened.Submitted}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", TRANSITIONS, ids=lambda event: event.TOPIC)
def test_a_command_moves_along_the_table_or_is_refused(event: type[Event], phase: Phase) -> None:
    """A legal pair gives that event first, which moves to the table's phase; any other gives no event at all."""
    run = standing(phase)
    table = TRANSITIONS[event]
    if phase in table:
        COMMANDS[event](run)
        first, *more = run.collect_events()
        assert type(first) is event
        folded = standing(phase)
        folded.apply(first)
        assert folded.phase is table[phase]
        assert more == [] or ([type(each) for each in more] == [happened.Cancelled] and event in ENDING_A_CANCELLED_RUN)
        return
    if (other := ANSWERED_WITH_ANOTHER.get((event, phase))) is not None:
        COMMANDS[event](run)
        assert [type(each) for each in run.collect_events()] == [other]
        return
    if (event, phase) in ANSWERED_WITH_NOTHING:
        COMMANDS[event](run)
    else:
        with pytest.raises(Refused):
            COMMANDS[event](run)
    assert run.collect_events() == []
    assert run.phase is phase


def test_being_asked_to_end_again_is_news_by_force_only() -> None:
    """The first request holds; force is added to it once."""
    run = standing(Phase.CANCELLING)
    run.request_cancel(stamp(9))
    assert run.collect_events() == []
    for _ in range(2):
        run.request_cancel(stamp(10), force=True)
    assert [event.TOPIC for event in run.collect_events()] == [happened.CancelRequested.TOPIC]
    assert (run.phase, run.forced) == (Phase.CANCELLING, True)


def test_an_ended_run_stays_as_it_is() -> None:
    """Only a restart leads out of an end; its orders alone change after it, and some row reaches each end."""
    moves = [(event, before, after) for event, row in TRANSITIONS.items() for before, after in row.items()]
    out_of_an_end = {(event, after) for event, before, after in moves if before.ended}
    ended = {phase for phase in Phase if phase.ended}
    assert out_of_an_end == {(event, end) for event in LATE for end in ended} | {(happened.Restarted, Phase.WAITING)}
    assert set(TRANSITIONS[happened.Restarted]) == ended - {Phase.SUCCEEDED}
    reached = {after for _, before, after in moves if before is not after}
    assert reached | {Phase.HELD} == set(Phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.at_work])
def test_an_order_settled_after_the_end_changes_the_ledger_and_nothing_else(phase: Phase) -> None:
    """The run ended when it ended; its partial result shows the ledger's final truth."""
    run = standing(phase)
    before = task_view(run)
    COMMANDS[happened.OrderPlaced](run)
    after = task_view(run)
    assert run.orders[ORDER].state is OrderState.PLACED
    assert (after.finished_at, after.duration_seconds, after.state) == (
        before.finished_at,
        before.duration_seconds,
        before.state,
    )
    assert after.partial_result is None or [order["state"] for order in after.partial_result["orders"]] == ["placed"]


@pytest.mark.parametrize("phase", Phase)
def test_an_outcome_is_never_replaced_from_outside(phase: Phase) -> None:
    """What is settled stays settled, and the attempt at work settles its own orders."""
    run = standing(phase)
    COMMANDS[happened.OrderPlaced](run)
    run.collect_events()
    with pytest.raises(Refused):
        run.resolve_order(stamp(9), client_order_id=ORDER, outcome=None, reason="no money")
    assert run.collect_events() == []
    assert run.orders[ORDER].state is OrderState.PLACED


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CANCELLING])
def test_an_order_of_an_attempt_at_work_is_not_settled_from_outside(phase: Phase) -> None:
    """Its worker is about to hear from the venue itself."""
    with pytest.raises(Refused):
        standing(phase).resolve_order(stamp(9), client_order_id=ORDER, outcome=outcome())
    with pytest.raises(Refused):
        standing(phase).give_up_order(stamp(9), client_order_id=ORDER, reason="not found")


def at_the_venue(phase: Phase, **so_far: Any) -> WorkflowExecution:
    """A run whose order the venue has taken."""
    run = standing(phase)
    run.orders[ORDER] = msgspec.structs.replace(run.orders[ORDER], state=OrderState.PLACED, outcome=outcome(**so_far))
    return run


@pytest.mark.parametrize("phase", Phase)
def test_an_order_at_the_venue_is_followed_whatever_its_run_does(phase: Phase) -> None:
    """Filled in part, then to its end; the run moves nowhere."""
    run = at_the_venue(phase)
    for state, quantity in (("placed", "4"), ("filled", "10")):
        run.follow_order(stamp(9), client_order_id=ORDER, outcome=outcome(state=state, filled_quantity=quantity))
        record = run.orders[ORDER]
        assert record.outcome is not None
        assert (record.state, record.outcome.filled_quantity) == (state, quantity)
    assert run.phase is phase
    assert len(run.collect_events()) == 2


@pytest.mark.parametrize(
    "news", [outcome(filled_quantity="4"), outcome(filled_quantity="4.0"), outcome(state="filled")]
)
def test_what_is_no_news_of_an_order_is_refused(news: OrderOutcome) -> None:
    """The same amount again, or less than was filled before: an answer from the past."""
    run = at_the_venue(Phase.SUCCEEDED, filled_quantity="4")
    with pytest.raises(Refused):
        run.follow_order(stamp(9), client_order_id=ORDER, outcome=news)
    assert run.collect_events() == []


def test_an_order_that_has_ended_at_the_venue_is_not_updated() -> None:
    """Filled is filled."""
    run = at_the_venue(Phase.SUCCEEDED)
    run.follow_order(stamp(9), client_order_id=ORDER, outcome=outcome(state="rejected"), reason="expired")
    assert (run.orders[ORDER].state, run.orders[ORDER].reason) == (OrderState.REJECTED, "expired")
    with pytest.raises(Refused):
        run.follow_order(stamp(9), client_order_id=ORDER, outcome=outcome(state="filled", filled_quantity="10"))


def test_an_order_that_was_given_up_may_still_have_its_outcome() -> None:
    """Somebody has found it after all."""
    run = standing(Phase.FAILED)
    run.give_up_order(stamp(9), client_order_id=ORDER, reason="not found")
    assert run.orders[ORDER].state is OrderState.AMBIGUOUS
    run.resolve_order(stamp(10), client_order_id=ORDER, outcome=outcome())
    assert run.orders[ORDER].state is OrderState.PLACED


MOVES = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=40)


def history(moves: list[str]) -> tuple[WorkflowExecution, list[Event]]:
    """A run that the moves have happened to, and its events."""
    run = submitted()
    for second, action in enumerate(moves, start=1):
        act(run, action, second)
    return run, list(run.collect_events())


@given(moves=MOVES)
def test_a_fold_over_stored_events_is_the_run_that_decided_them(moves: list[str]) -> None:
    """Through JSON and back, the events lead to the same run."""
    run, events = history(moves)
    mapper = MsgspecMapper()
    stored = [mapper.to_domain_event(mapper.to_stored_event(event)) for event in events]
    assert stored == events
    assert seen(fold(None, stored)) == seen(run)


@given(moves=MOVES, data=st.data())
def test_events_that_arrive_again_change_nothing(moves: list[str], data: st.DataObject) -> None:
    """After each event, any earlier stretch of the stream may come once more."""
    run, events = history(moves)
    folded: WorkflowExecution | None = None
    for number in range(len(events)):
        back = data.draw(st.integers(0, number))
        folded = fold(folded, events[number - back : number + 1])
    assert seen(folded) == seen(run)


@given(moves=MOVES)
def test_versions_have_no_gap(moves: list[str]) -> None:
    """Whatever was refused in between, events are numbered 1, 2, 3 ..."""
    run, events = history(moves)
    assert [event.originator_version for event in events] == list(range(1, run.version + 1))


def test_events_of_a_stream_without_its_submission_are_no_run() -> None:
    """There is nothing to fold them onto."""
    run = running()
    complete_next(run, stamp(2))
    assert fold(None, run.collect_events()[1:]) is None
