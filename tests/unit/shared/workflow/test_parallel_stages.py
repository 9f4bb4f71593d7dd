"""What the engine gives to a journal to run side by side, and how it goes on when that has ended."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from shared.domain.failures import Failure
from shared.testing import run
from shared.workflow import Context, Decision, TemporaryError, Workflow
from shared.workflow.context import Position
from shared.workflow.engine import Member, Stopped, run_member, run_steps
from tests.unit.shared.workflow.listening import SYMBOLS, ListeningJournal, context, go
from tests.unit.shared.workflow.test_resuming import build, plans


class ForkingJournal(ListeningJournal):
    """A journal that has members run elsewhere; `forked` are the stages that it was given."""

    def __init__(self, workflow: Workflow, **options: Any) -> None:
        super().__init__(workflow, **options)
        self.forked: list[list[Position]] = []

    def fork(self, members: Sequence[Member]) -> None:
        """Stop here."""
        self.forked.append([Position(member.step.name, member.symbol) for member in members])
        raise Stopped


def main_line(workflow: Workflow, journal: ForkingJournal, symbols: Sequence[str] = SYMBOLS) -> bool:
    """Run up to the next stage that runs elsewhere, or to the end; tell whether that stage is the reason to stop."""
    forked = len(journal.forked)
    try:
        run_steps(workflow, symbols, context(symbols), journal)
    except Stopped:
        assert len(journal.forked) > forked or journal.error
    return len(journal.forked) > forked


def members(
    workflow: Workflow, journal: ForkingJournal, positions: Sequence[Position], symbols: Sequence[str] = SYMBOLS
) -> None:
    """Run members, each as a task of its own, again when it is to be retried."""
    for step, symbol in positions:
        while not journal.is_done(step, symbol) and journal.error is None:
            try:
                run_member(workflow, symbols, context(symbols), journal, step, symbol)
            except Stopped:
                assert journal.retries or journal.error


@pytest.fixture
def workflow() -> Workflow:
    """Return a workflow: `size` for each symbol side by side, `first` and `second` in a group, then `total`."""
    workflow = Workflow("test", title="Test")

    @workflow.step(each="symbol", parallel=True, on_error="collect")
    def size(ctx: Context, symbol: str) -> int:
        if symbol == "AAPL":
            raise ValueError("no history")
        return len(symbol)

    @workflow.step(each="symbol", parallel=True)
    def doubled(ctx: Context, symbol: str, size: int) -> int:
        return 2 * size

    @workflow.step(group="charts")
    def first(ctx: Context, doubled: dict[str, int]) -> list[str]:
        return list(doubled)

    @workflow.step(group="charts")
    def second(ctx: Context, size: dict[str, int]) -> dict[str, int]:
        return size

    @workflow.step
    def total(ctx: Context, first: list[str], doubled: dict[str, int]) -> int:
        return sum(doubled[symbol] for symbol in first)

    return workflow


def test_a_run_goes_from_stage_to_stage(workflow: Workflow) -> None:
    """All that is pending of a stage is given at once; symbols that are left out are not in it."""
    journal = ForkingJournal(workflow)
    while main_line(workflow, journal):
        members(workflow, journal, journal.forked[-1])
    assert journal.forked == [
        [Position("size", symbol) for symbol in SYMBOLS],
        [Position("doubled", "MSFT"), Position("doubled", "IBM")],
        [Position("first"), Position("second")],
    ]
    assert journal.value("first", None) == ["MSFT", "IBM"]
    assert journal.value("second", None) == {"MSFT": 4, "IBM": 3}
    assert journal.value("total", None) == 14
    assert [position for position, last in journal.completed if last] == [Position("total")]


def test_only_what_is_not_done_is_given(workflow: Workflow) -> None:
    """A stage may be opened anew, say after a restart, when some of its members have ended."""
    journal = ForkingJournal(workflow)
    members(workflow, journal, [Position("size", "MSFT")])
    main_line(workflow, journal)
    assert journal.forked == [[Position("size", "AAPL"), Position("size", "IBM")]]


def test_what_is_not_run_elsewhere_runs_here_in_order(workflow: Workflow) -> None:
    """With a journal whose fork returns, all is as if nothing were parallel."""
    journal = go(workflow)
    assert journal.value("total", None) == 14
    assert journal.begun == [
        *(Position("size", symbol) for symbol in SYMBOLS),
        *(Position("doubled", symbol) for symbol in ("MSFT", "IBM")),
        *map(Position, ("first", "second", "total")),
    ]
    assert [last for _, last in journal.completed] == [False] * (len(journal.completed) - 1) + [True]


def test_a_run_that_ends_with_a_stage_has_no_last_boundary() -> None:
    """Its members know nothing of each other, so none of them is the last; the main line finds nothing left to do."""
    workflow = Workflow("test", title="Test")

    @workflow.step(group="charts")
    def first(ctx: Context) -> int:
        return 1

    @workflow.step(group="charts")
    def second(ctx: Context) -> int:
        return 2

    journal = ForkingJournal(workflow)
    main_line(workflow, journal)
    members(workflow, journal, journal.forked[0])
    assert journal.completed == [(Position("first"), False), (Position("second"), False)]
    run_steps(workflow, SYMBOLS, context(), journal)
    assert len(journal.forked) == 1


def test_a_stage_of_which_every_symbol_failed_fails_in_the_main_line() -> None:
    """A member cannot know; the main line looks when it comes to the join."""
    workflow = Workflow("test", title="Test")

    @workflow.step(each="symbol", parallel=True, on_error="collect")
    def signal(ctx: Context, symbol: str) -> int:
        raise ValueError("no history")

    @workflow.step
    def decide(ctx: Context, signal: dict[str, int]) -> int:
        raise AssertionError("must not run")

    journal = ForkingJournal(workflow)
    main_line(workflow, journal)
    members(workflow, journal, journal.forked[0])
    assert journal.error is None
    main_line(workflow, journal)
    assert journal.error is not None
    assert (journal.error.step, journal.error.symbol) == ("signal", None)
    assert journal.error.failure.type == "all_symbols_failed"


def test_a_member_is_retried_by_itself() -> None:
    """The others of its stage are not touched, and it begins anew."""
    workflow = Workflow("test", title="Test")
    calls: list[str] = []

    @workflow.step(each="symbol", parallel=True)
    def signal(ctx: Context, symbol: str) -> int:
        calls.append(symbol)
        if calls.count("AAPL") == 1 and symbol == "AAPL":
            raise TemporaryError("busy")
        return 1

    journal = ForkingJournal(workflow)
    main_line(workflow, journal)
    members(workflow, journal, journal.forked[0])
    assert calls == ["MSFT", "AAPL", "AAPL", "IBM"]
    assert [(retry.step, retry.symbol) for retry in journal.retries] == [("signal", "AAPL")]


def test_a_member_that_is_done_does_not_run_again(workflow: Workflow) -> None:
    """A task that is delivered twice finds it in the journal."""
    journal = ForkingJournal(workflow)
    members(workflow, journal, [Position("size", "MSFT")])
    run_member(workflow, SYMBOLS, context(), journal, "size", "MSFT")
    assert journal.begun == [Position("size", "MSFT")]


def test_a_journal_that_passes_over_the_failure_of_a_member_is_found_out(workflow: Workflow) -> None:
    """The same rule as in the main line."""

    class Careless(ForkingJournal):
        def fail(self, step: Any, symbol: str | None, failure: Failure) -> None:
            """Say nothing."""

    with pytest.raises(RuntimeError, match="after step 'doubled' failed"):
        run_member(workflow, SYMBOLS, context(), Careless(workflow), "doubled", "MSFT")


@pytest.mark.parametrize("options", [{"each": "symbol", "parallel": True}, {"group": "alone"}])
def test_what_runs_side_by_side_has_no_broker(options: dict[str, Any]) -> None:
    """Wherever it runs, a test included: orders are placed one after the other."""
    workflow = Workflow("test", title="Test")

    def trade(ctx: Context, **symbol: str) -> None:
        ctx.broker.place(Decision(symbol="MSFT", action="buy", quantity=1, reason="no"))

    def each(ctx: Context, symbol: str) -> None:
        trade(ctx)

    def once(ctx: Context) -> None:
        trade(ctx)

    workflow.step(**options)(each if "each" in options else once)
    outcome = run(workflow, ["MSFT"])
    assert outcome.error is not None
    assert "runs side by side with others, and orders are placed one after the other" in outcome.error.failure.message
    assert outcome.orders == []


@settings(deadline=None)
@given(plans())
def test_wherever_members_run_a_run_comes_out_the_same(
    plan: tuple[list[dict[str, Any]], list[str], set[Position]],
) -> None:
    """In tasks of their own, begun in the reverse order, or here one after the other."""
    steps, symbols, failing = plan
    workflow = build(steps, failing, [])
    here = go(workflow, symbols=symbols)
    elsewhere = ForkingJournal(workflow)
    while elsewhere.error is None and main_line(workflow, elsewhere, symbols):
        members(workflow, elsewhere, elsewhere.forked[-1][::-1], symbols)
    assert (elsewhere.error is None) == (here.error is None)
    if here.error is None:
        assert elsewhere.outputs == here.outputs
        assert elsewhere.collected.keys() == here.collected.keys()
    assert len(set(elsewhere.begun)) == len(elsewhere.begun)
