"""What may run side by side, and the sentences with which the rest is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.domain.catalogue import StepKind
from shared.workflow import Context, Workflow
from shared.workflow.stages import stages
from shared.workflow.steps import DeclarationError


def one(ctx: Context) -> int:
    """Run once a run."""
    return 1


def two(ctx: Context) -> int:
    """Run once a run."""
    return 2


def takes_one(ctx: Context, one: int) -> int:
    """Run once a run, on what `one` returned."""
    return one


def each(ctx: Context, symbol: str) -> int:
    """Run for each symbol."""
    return 1


def declared(*steps: tuple[Callable[..., Any], dict[str, Any]], **options: Any) -> Workflow:
    """Return a workflow of these steps with their options."""
    workflow = Workflow("test", title="Test", **options)
    for function, own in steps:
        workflow.step(**own)(function)
    return workflow


CHARTS = {"group": "charts"}
PARALLEL = {"each": "symbol", "parallel": True}


def test_a_step_says_how_it_runs() -> None:
    """The dispatcher pins it to a run, and needs no strategy code for it."""
    workflow = declared(
        (each, PARALLEL | {"max_parallel": 4, "limits": {"venue:alpaca": 2}}), (one, CHARTS), (two, {"limits": None})
    )
    parallel, grouped, sequential = workflow.describe().steps
    assert (parallel.kind, parallel.group) == (StepKind.PARALLEL, None)
    assert (parallel.max_parallel, parallel.limits) == (4, {"venue:alpaca": 2})
    assert (grouped.kind, grouped.group, grouped.max_parallel) == (StepKind.PARALLEL, "charts", None)
    assert (sequential.kind, sequential.group, sequential.limits) == (StepKind.SEQUENTIAL, None, {})


def test_a_workflow_says_how_many_of_its_tasks_are_at_work() -> None:
    """Under a key of its own, or of a venue that many workflows use."""
    assert declared((one, {}), limits={"venue:alpaca": 5}).describe().limits == {"venue:alpaca": 5}
    assert declared((one, {})).describe().limits == {}


def test_stages_are_parallel_steps_and_groups_of_neighbours() -> None:
    """A step that says nothing is a stage by itself, and so is the only step of a group."""
    workflow = declared((one, {}), (each, PARALLEL), (two, CHARTS), (takes_one, CHARTS))
    assert [[step.name for step in stage] for stage in stages(workflow.steps)] == [
        ["one"],
        ["each"],
        ["two", "takes_one"],
    ]
    alone = declared((one, CHARTS), (each, {"each": "symbol"}), (two, {}))
    assert [[step.name for step in stage] for stage in stages(alone.steps)] == [["one"], ["each"], ["two"]]


@pytest.mark.parametrize(
    "options",
    [
        {"parallel": True},
        {"parallel": True, "max_parallel": 3},
        {"parallel": True, "limits": {"venue:alpaca": 5}},
    ],
)
def test_the_hash_ignores_what_runs_side_by_side(options: dict[str, Any]) -> None:
    """The same positions are done, so a running run goes on."""
    before = declared((each, {"each": "symbol"}), (one, {}))
    after = declared((each, {"each": "symbol"} | options), (one, CHARTS), limits={"strategy:test": 1})
    assert before.definition_hash == after.definition_hash


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (one, {"parallel": True}, "'one': parallel=True runs a step's symbols.*Add each=\"symbol\""),
        (each, PARALLEL | {"parallel": "yes"}, "'each': parallel= is True or False"),
        (each, PARALLEL | CHARTS, "'each': parallel= runs the symbols.*Use one of the two"),
        (each, {"each": "symbol"} | CHARTS, "'each': group= is for steps that run once a run. Use parallel=True"),
        (one, {"group": "Charts"}, "'one': group= has 1 to 50 lower-case letters"),
        (one, {"group": ""}, "'one': group= has 1 to 50"),
        (one, {"group": "x" * 51}, "'one': group= has 1 to 50"),
        (one, {"group": 7}, "'one': group= has 1 to 50"),
        (each, PARALLEL | {"effect": "orders"}, "'each': orders are placed one after the other"),
        (one, CHARTS | {"effect": "orders"}, "'one': orders are placed one after the other"),
        (each, PARALLEL | {"max_parallel": 0}, "'each': max_parallel= is 1 or more, not 0"),
        (each, PARALLEL | {"max_parallel": True}, "'each': max_parallel= is 1 or more"),
        (each, PARALLEL | {"max_parallel": 1.5}, "'each': max_parallel= is 1 or more"),
        (each, {"each": "symbol", "max_parallel": 3}, "'each': max_parallel= says.*Add parallel=True or group="),
        (each, PARALLEL | {"limits": ["venue:alpaca"]}, "'each': limits= takes a dict"),
        (each, PARALLEL | {"limits": {"": 1}}, "'each': a key of limits= has 1 to 100 printable characters"),
        (each, PARALLEL | {"limits": {" ": 1}}, "'each': a key of limits="),
        (each, PARALLEL | {"limits": {"a\nb": 1}}, "'each': a key of limits="),
        (each, PARALLEL | {"limits": {"x" * 101: 1}}, "'each': a key of limits="),
        (each, PARALLEL | {"limits": {7: 1}}, "'each': a key of limits="),
        (each, PARALLEL | {"limits": {"venue:alpaca": 0}}, "'each': limits= allows 1 task or more"),
        (each, PARALLEL | {"limits": {"venue:alpaca": True}}, "'each': limits= allows 1 task or more"),
        (one, {"limits": {"venue:alpaca": 5}}, r"'one': limits= holds for tasks.*Workflow\(limits=...\)"),
    ],
)
def test_what_cannot_run_side_by_side_is_refused(
    function: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    """Each mistake ends at import, in a sentence that says what to change."""
    with pytest.raises(DeclarationError, match=sentence):
        declared((function, options))


@pytest.mark.parametrize("limits", [{"": 1}, {"venue:alpaca": -1}, 5])
def test_limits_of_a_workflow_are_checked_too(limits: Any) -> None:
    """The sentence names the workflow."""
    with pytest.raises(DeclarationError, match=r"Workflow 'test': .*limits="):
        declared(limits=limits)


def test_the_steps_of_a_group_are_neighbours() -> None:
    """What stands between them would run in the middle of their stage."""
    with pytest.raises(DeclarationError, match=r"'two': the steps of group 'charts' .* 'each' stands between .* 'one'"):
        declared((one, CHARTS), (each, PARALLEL), (two, CHARTS))


def test_a_step_cannot_take_what_another_one_of_its_group_returns() -> None:
    """They run at the same time."""
    with pytest.raises(
        DeclarationError, match=r"'takes_one' takes the output of 'one'.*Give 'takes_one' another group"
    ):
        declared((one, CHARTS), (takes_one, CHARTS))
    assert len(declared((one, CHARTS), (takes_one, {"group": "report"})).steps) == 2
