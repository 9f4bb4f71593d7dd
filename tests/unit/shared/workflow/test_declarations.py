"""What `@workflow.step` accepts, and the sentences with which it refuses the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.catalogue import OnError, StepEffect, StepScope
from shared.workflow import Context, Workflow
from shared.workflow.steps import DeclarationError


@pytest.fixture
def workflow() -> Workflow:
    """A workflow with one run-level step, `universe`, and one for each symbol, `signal`."""
    workflow = Workflow("test", title="Test")

    @workflow.step
    def universe(ctx: Context) -> list[str]:
        return list(ctx.symbols)

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> float:
        return float(len(symbol))

    return workflow


def test_a_step_is_found_by_its_name_scope_and_inputs(workflow: Workflow) -> None:
    """The signature is the declaration of the data flow."""

    @workflow.step(each="symbol", on_error="collect", preemptible=False, max_retries=5)
    def size(ctx: Context, symbol: str, signal: float, universe: list[str]) -> float:
        return signal

    step = workflow.steps[-1]
    assert (step.name, step.each, step.on_error) == ("size", StepScope.SYMBOL, OnError.COLLECT)
    assert step.inputs == ("signal", "universe")
    assert (step.preemptible, step.max_retries, step.effect) == (False, 5, StepEffect.NONE)


def test_the_decorated_function_stays_callable_as_written(workflow: Workflow) -> None:
    """Users call their steps in plain unit tests."""

    @workflow.step
    def double(ctx: Context | None, universe: list[str]) -> int:
        return 2 * len(universe)

    assert double(None, ["MSFT"]) == 2


def test_a_step_that_trades_is_never_preempted(workflow: Workflow) -> None:
    """SDK.md: `effect="orders"` steps never yield, without being asked."""

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> None:
        return None

    assert workflow.steps[-1].effect is StepEffect.ORDERS
    assert not workflow.steps[-1].preemptible


def unknown_input(ctx: Context, prices: float) -> None:
    """Takes what no step returns."""


def no_context(universe: list[str]) -> None:
    """Does not take the context."""


def symbol_in_run(ctx: Context, symbol: str) -> None:
    """Takes a symbol."""


def variadic(ctx: Context, *signal: float) -> None:
    """Takes any number of arguments."""


def keywords(ctx: Context, **inputs: float) -> None:
    """Takes any keywords."""


def positional(ctx: Context, signal: dict[str, float], /) -> None:
    """Takes its input by position only."""


def signal(ctx: Context) -> None:
    """Has the name of another step."""


class Foreign:
    """A class that no library of ours knows."""


@dataclass
class Holder:
    """Holds one of it."""

    foreign: Foreign


async def asynchronous(ctx: Context) -> None:
    """Is a coroutine function."""


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (unknown_input, {}, "'unknown_input' has a parameter 'prices'.*Declared before it: universe, signal"),
        (no_context, {}, "'no_context' has no ctx: write def no_context"),
        (no_context, {"each": "symbol"}, "'no_context' has no ctx"),
        (unknown_input, {"each": "symbol"}, "'unknown_input' runs for each symbol and does not take it"),
        (symbol_in_run, {}, "'symbol_in_run' takes a symbol and runs once a run.*each=\"symbol\""),
        (variadic, {}, r"'variadic': the parameter \*signal.* cannot be filled by name"),
        (keywords, {}, r"'keywords': the parameter \*\*inputs.* cannot be filled by name"),
        (positional, {}, "'positional': the parameter ctx.* cannot be filled by name"),
        (signal, {}, "'signal' is declared twice"),
        (asynchronous, {}, "'asynchronous' is async"),
        (lambda ctx: None, {}, "use def"),
        (symbol_in_run, {"each": "day"}, 'each= is "run" or "symbol", not \'day\''),
        (symbol_in_run, {"on_error": "ignore"}, 'on_error= is "fail" or "collect"'),
        (symbol_in_run, {"effect": "mail"}, 'effect= is "none" or "orders"'),
        (unknown_input, {"on_error": "collect"}, "'unknown_input': on_error=\"collect\" collects"),
        (symbol_in_run, {"each": "symbol", "max_retries": -1}, "max_retries is 0 or more"),
        (symbol_in_run, {"each": "symbol", "first_retry_delay": timedelta(0)}, "first_retry_delay= takes a timedelta"),
        (symbol_in_run, {"effect": "orders", "preemptible": True}, "never preempted"),
        (symbol_in_run, {"retries": 3}, "there is no option retries="),
    ],
)
def test_a_wrong_step_is_refused_with_its_name_and_the_fix(
    workflow: Workflow, function: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    """Each mistake ends at import, in a sentence that says what to change."""
    with pytest.raises(DeclarationError, match=sentence):
        workflow.step(**options)(function)
    assert len(workflow.steps) == 2


def test_a_step_cannot_take_a_later_one(workflow: Workflow) -> None:
    """Steps run as declared, so a later output does not exist yet."""
    with pytest.raises(DeclarationError, match="move 'late' above 'early'"):

        @workflow.step
        def early(ctx: Context, late: int) -> int:
            return late


def test_something_that_is_no_function_is_refused(workflow: Workflow) -> None:
    """`@workflow.step("symbol")` is a likely slip."""
    with pytest.raises(DeclarationError, match="options go by keyword"):
        workflow.step("symbol")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("Mean Reversion", {}, "lower-case letters"),
        ("", {}, "lower-case letters"),
        ("-x", {}, "lower-case letters"),
        ("x" * 101, {}, "1 to 100"),
        ("ok", {"title": ""}, "needs a title"),
        ("ok", {"parameters": dict}, "takes a pydantic model class"),
        ("ok", {"timeout": timedelta(0)}, "timeout= takes a timedelta above zero"),
        ("ok", {"timeout": 60}, "timeout= takes a timedelta above zero"),
        ("ok", {"first_retry_delay": timedelta(-1)}, "first_retry_delay="),
        ("ok", {"max_retries": -1}, "max_retries= is 0 or more"),
        ("ok", {"retry_jitter": 1.5}, "retry_jitter= is a share from 0 to 1"),
    ],
)
def test_a_wrong_workflow_is_refused_with_its_name(name: str, options: dict[str, Any], sentence: str) -> None:
    """The name is a part of URLs, and a timeout of zero would end every run."""
    with pytest.raises(DeclarationError, match=sentence):
        Workflow(name, **({"title": "Test"} | options))


def test_a_workflow_without_steps_does_not_load() -> None:
    """It would succeed at once and do nothing."""
    with pytest.raises(DeclarationError, match="'empty' has no steps"):
        Workflow("empty", title="Empty").check()


def test_a_type_hint_that_cannot_be_resolved_is_found_when_the_workflow_loads(workflow: Workflow) -> None:
    """Under TYPE_CHECKING a hint looks right and is nothing at run time."""

    def broken(ctx: Context) -> "pl.DataFrame":  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    workflow.step(broken)
    with pytest.raises(DeclarationError, match=r"'broken' has a type hint.*'pl' is not defined.*TYPE_CHECKING"):
        workflow.check()


def test_a_type_that_nothing_can_check_is_found_when_the_workflow_loads(workflow: Workflow) -> None:
    """A dataclass with a field of a foreign type, say, that could be neither checked nor stored."""

    def broken(ctx: Context) -> Holder:
        raise NotImplementedError

    workflow.step(broken)
    with pytest.raises(DeclarationError, match="'broken': its return type, Holder cannot be checked or stored"):
        workflow.check()
