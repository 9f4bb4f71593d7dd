"""How a workflow is described to those who do not have its code."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field

from shared.domain.catalogue import StepScope, StrategyDescription
from shared.workflow import Context, Workflow


class Windows(BaseModel):
    """Two windows."""

    fast: int = Field(20, ge=2, description="bars in the fast mean")
    slow: int = Field(ge=3)


def declare(
    *, name: str = "test", title: str = "Test", parameters: type[BaseModel] = Windows, options: Any = None, **more: Any
) -> Workflow:
    """Return a workflow of two steps, the second with `options`."""
    workflow = Workflow(name, title=title, parameters=parameters, **more)

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> float:
        return 1.0

    @workflow.step(**(options or {}))
    def decide(ctx: Context, signal: dict[str, float]) -> int:
        return len(signal)

    return workflow


def test_a_description_tells_all_that_others_need() -> None:
    """The gateway checks parameters and pins the plan from this alone."""
    workflow = declare(timeout=timedelta(minutes=10), max_retries=5, first_retry_delay=timedelta(seconds=2))
    described = workflow.describe()
    assert (described.strategy_id, described.title) == ("test", "Test")
    assert [(step.name, step.each, step.inputs) for step in described.steps] == [
        ("signal", StepScope.SYMBOL, ()),
        ("decide", StepScope.RUN, ("signal",)),
    ]
    assert described.parameters_schema["required"] == ["slow"]
    assert described.parameters_schema["additionalProperties"] is False
    assert described.parameters_default == {"fast": 20}
    assert (described.max_retries, described.timeout_seconds, described.retry_delay_seconds) == (5, 600.0, 2.0)


def test_a_description_survives_json() -> None:
    """It is published in the log."""
    described = declare().describe()
    assert msgspec.json.decode(msgspec.json.encode(described), type=StrategyDescription) == described


class RetitledWindows(BaseModel):
    """The same two windows, explained better."""

    fast: int = Field(20, ge=2, title="Fast", description="how many bars the fast mean has", examples=[10])
    slow: int = Field(ge=3)


class WiderWindows(BaseModel):
    """Two windows, one with a wider range."""

    fast: int = Field(20, ge=1)
    slow: int = Field(ge=3)


class FurtherWindow(BaseModel):
    """The two windows and a third one, which has a default."""

    fast: int = Field(20, ge=2)
    slow: int = Field(ge=3)
    value: int = 200


class OtherDefault(BaseModel):
    """Two windows, one with another default."""

    fast: int = Field(10, ge=2)
    slow: int = Field(ge=3)


@pytest.mark.parametrize(
    "same",
    [
        lambda: declare(title="Another title", description="In other words."),
        lambda: declare(max_retries=7, timeout=timedelta(minutes=1), first_retry_delay=timedelta(minutes=1)),
        lambda: declare(options={"max_retries": 9}),
        lambda: declare(options={"preemptible": False}),
        lambda: declare(parameters=RetitledWindows),
        lambda: declare(retired=True),
    ],
    ids=["words", "retries and timeout", "retries of a step", "preemptible", "words about parameters", "retired"],
)
def test_the_hash_ignores_what_does_not_change_a_run(same: Callable[[], Workflow]) -> None:
    """A better title must not make running runs foreign."""
    assert same().definition_hash == declare().definition_hash


@pytest.mark.parametrize(
    "other",
    [
        lambda: declare(name="other"),
        lambda: declare(options={"effect": "orders"}),
        lambda: declare(parameters=WiderWindows),
        lambda: declare(parameters=OtherDefault),
        lambda: declare(parameters=FurtherWindow),
    ],
    ids=["name", "effect", "range of a parameter", "default of a parameter", "a further parameter"],
)
def test_the_hash_follows_what_changes_a_run(other: Callable[[], Workflow]) -> None:
    """A run goes on under the definition that it was submitted with, or not at all."""
    assert other().definition_hash != declare().definition_hash


def of_steps(*bodies: Callable[..., Any], **options: Any) -> Workflow:
    """Return a workflow of run-level steps, `options` being those of the last one."""
    workflow = Workflow("test", title="Test")
    for body in bodies[:-1]:
        workflow.step(body)
    workflow.step(**options)(bodies[-1])
    return workflow


def returning(kind: Any, name: str = "load") -> Callable[..., Any]:
    """Return a step of this name that says it returns `kind`."""

    def step(ctx: Context) -> Any:
        return None

    step.__name__ = name
    step.__annotations__["return"] = kind
    return step


def test_the_hash_ignores_the_code_of_a_step() -> None:
    """A corrected step is deployed under the runs that need it."""

    def first() -> Workflow:
        def load(ctx: Context) -> int:
            return 1

        return of_steps(load)

    def second() -> Workflow:
        def load(ctx: "Context[Any]") -> int:
            """Say more."""
            return sum(range(ctx.attempt))

        return of_steps(load)

    assert first().definition_hash == second().definition_hash


def test_the_hash_follows_names_order_scope_inputs_and_error_rule_of_steps() -> None:
    """Each of them decides what of a run is done already, and what its steps are given."""

    def load(ctx: Context) -> int:
        return 1

    def with_input(ctx: Context, two: int) -> int:
        return two

    def each(ctx: Context, symbol: str) -> int:
        return 1

    with_input.__name__ = each.__name__ = "load"
    one, two, three = (returning(int, name) for name in ("one", "two", "three"))
    variants = [
        of_steps(one, two, load),
        of_steps(two, one, load),
        of_steps(one, three, load),
        of_steps(one, two, with_input),
        of_steps(one, two, each, each="symbol"),
        of_steps(one, two, each, each="symbol", on_error="collect"),
    ]
    assert len({variant.definition_hash for variant in variants}) == len(variants)


class Size(BaseModel):
    """An output."""

    quantity: int = 0


class RenamedSize(BaseModel):
    """The same output with another word for its field: what is stored of the first would be read as 100."""

    shares: int = 100


@pytest.mark.parametrize(
    ("before", "now"), [(int, str), (int, dict[str, int]), (Size, RenamedSize), (list[Size], list[RenamedSize])]
)
def test_the_hash_follows_the_return_type_of_a_step(before: Any, now: Any) -> None:
    """By it the output of a completed step is read back."""
    assert of_steps(returning(before)).definition_hash != of_steps(returning(now)).definition_hash


def test_the_hash_follows_a_further_step() -> None:
    """It is not remembered from before the step was declared."""
    workflow = declare()
    before = workflow.definition_hash

    @workflow.step
    def report(ctx: Context, decide: int) -> int:
        return decide

    assert workflow.definition_hash != before
    assert len(before) == 64


def test_a_field_called_title_counts() -> None:
    """Titles are left out of the hash, fields of that name are not."""

    class Titled(BaseModel):
        title: str = "x"

    class Untitled(BaseModel):
        pass

    assert declare(parameters=Titled).definition_hash != declare(parameters=Untitled).definition_hash
