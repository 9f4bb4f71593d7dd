"""How a run stops, and goes on from whatever its journal says is done."""

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.failures import Failure
from shared.workflow import Context, TemporaryError, Workflow
from shared.workflow.context import Position
from shared.workflow.engine import Stopped, run_steps
from shared.workflow.steps import Step
from tests.unit.shared.workflow.listening import SYMBOLS, ListeningJournal, context, go


@pytest.fixture
def workflow() -> Workflow:
    """A workflow without steps yet."""
    return Workflow("test", title="Test")


def test_a_retry_goes_on_from_the_failed_symbol(workflow: Workflow) -> None:
    """What was completed is not computed again."""
    calls: list[str] = []

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> int:
        calls.append(symbol)
        if calls == ["MSFT", "AAPL"]:
            raise TemporaryError("busy")
        return 1

    journal = go(workflow)
    assert [(retry.step, retry.symbol) for retry in journal.retries] == [("signal", "AAPL")]
    go(workflow, journal)
    assert calls == ["MSFT", "AAPL", "AAPL", "IBM"]


def test_the_last_boundary_is_the_last_that_is_left_to_do(workflow: Workflow) -> None:
    """The symbols at the end may be done already, and then another one ends the run."""

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> int:
        return len(symbol)

    whole = go(workflow)
    journal = ListeningJournal(workflow)
    journal.outputs[Position("signal", "IBM")] = whole.outputs[Position("signal", "IBM")]
    go(workflow, journal)
    assert journal.completed == [(Position("signal", "MSFT"), False), (Position("signal", "AAPL"), True)]


def test_what_a_journal_raises_before_a_step_stops_the_run_there(workflow: Workflow) -> None:
    """Cancel and preemption act between steps and symbols."""

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> int:
        return 1

    class Cancelled(ListeningJournal):
        def begin(self, step: Step, symbol: str | None) -> None:
            """Stop before IBM."""
            super().begin(step, symbol)
            if symbol == "IBM":
                raise Stopped

    journal = Cancelled(workflow)
    with pytest.raises(Stopped):
        run_steps(workflow, SYMBOLS, context(), journal)
    assert [position.symbol for position, _ in journal.completed] == ["MSFT", "AAPL"]


def test_except_exception_in_a_step_does_not_swallow_a_stop(workflow: Workflow) -> None:
    """A step that survives everything must still be stoppable at its checkpoints."""
    cleaned_up = []

    @workflow.step
    def stubborn(ctx: Context) -> int:
        try:
            raise Stopped
        except Exception:
            return 1
        finally:
            cleaned_up.append(True)

    journal = ListeningJournal(workflow)
    with pytest.raises(Stopped):
        run_steps(workflow, SYMBOLS, context(), journal)
    assert (journal.completed, journal.failed, cleaned_up) == ([], [], [True])


def test_a_journal_that_passes_over_a_failure_is_found_out(workflow: Workflow) -> None:
    """Going on without the output would be worse than any crash."""

    @workflow.step
    def decide(ctx: Context) -> int:
        raise ValueError("no")

    class Careless(ListeningJournal):
        def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
            """Say nothing."""

    with pytest.raises(RuntimeError, match="after step 'decide' failed"):
        run_steps(workflow, SYMBOLS, context(), Careless(workflow))


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[str], set[Position]]:
    """Draw steps with their options and inputs, symbols, and the positions at which steps fail."""
    symbols = draw(st.lists(st.sampled_from(["A", "B", "C", "D"]), min_size=1, max_size=4, unique=True))
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        each = draw(st.sampled_from(["run", "symbol"]))
        earlier = [step["name"] for step in steps]
        inputs = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        on_error = draw(st.sampled_from(["fail", "collect"])) if each == "symbol" else "fail"
        options: dict[str, Any] = {"each": each, "on_error": on_error}
        if draw(st.booleans()):
            options |= {"parallel": True} if each == "symbol" else {"group": f"group-{number}"}
        steps.append({"name": f"step_{number}", "inputs": inputs, "options": options})
    possible = [
        Position(step["name"], symbol) for step in steps for symbol in symbols if step["options"]["each"] == "symbol"
    ]
    failing = draw(st.sets(st.sampled_from(possible))) if possible else set()
    return steps, symbols, failing


def build(steps: list[dict[str, Any]], failing: set[Position], calls: list[Position]) -> Workflow:
    """Return a workflow whose steps write down that they ran, and return a text of all that they were given."""
    workflow = Workflow("drawn", title="Drawn")
    for step in steps:

        def function(ctx: Context, step: dict[str, Any] = step, **given: Any) -> str:
            position = Position(step["name"], given.get("symbol"))
            calls.append(position)
            if position in failing:
                raise ValueError(f"{position} fails")
            return f"{step['name']}({sorted(given.items())})"

        names = ["ctx", *(["symbol"] if step["options"]["each"] == "symbol" else []), *step["inputs"]]
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        function.__name__ = step["name"]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {"return": str}
        workflow.step(**step["options"])(function)
    return workflow


@given(plans())
def test_from_any_prefix_of_what_is_done_exactly_the_rest_runs(
    plan: tuple[list[dict[str, Any]], list[str], set[Position]],
) -> None:
    """Wherever a run was cut off, it ends with the same calls made once, and with the same outputs."""
    steps, symbols, failing = plan
    calls: list[Position] = []
    workflow = build(steps, failing, calls)
    whole = go(workflow, symbols=symbols)
    all_calls = list(calls)
    settled = [position for position in all_calls if position in whole.outputs or position in whole.collected]
    assert len(set(all_calls)) == len(all_calls)
    for done in range(len(settled) + 1):
        calls.clear()
        journal = ListeningJournal(workflow)
        for position in settled[:done]:
            source, target = (
                (whole.outputs, journal.outputs) if position in whole.outputs else (whole.collected, journal.collected)
            )
            target[position] = source[position]  # type: ignore[assignment]
        go(workflow, journal, symbols)
        assert calls == all_calls[done:]
        assert journal.outputs == whole.outputs
        assert journal.collected.keys() == whole.collected.keys()
        assert (journal.error is None) == (whole.error is None)
        assert [last for _, last in journal.completed].count(True) <= 1
        assert all(not last for _, last in journal.completed[:-1])


@given(plans())
def test_the_last_boundary_is_the_last_call_of_a_run_that_succeeds(
    plan: tuple[list[dict[str, Any]], list[str], set[Position]],
) -> None:
    """The executor ends the run in the same append, so it must be neither too early nor missing."""
    steps, symbols, failing = plan
    calls: list[Position] = []
    journal = go(build(steps, failing, calls), symbols=symbols)
    if journal.error is None and calls[-1] not in failing:
        assert journal.completed[-1] == (calls[-1], True)
    else:
        assert not any(last for _, last in journal.completed)
