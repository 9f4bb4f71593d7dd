"""Runs that outlive a change of their strategy: the worker starts again with other definitions than before."""

from uuid import UUID

import pytest

from shared.domain.phases import Phase
from shared.workflow import Context, TemporaryError, Workflow
from tests.unit.executor.bench import Bench


def before(*, retired: bool = False, factor: int = 2, max_retries: int | None = 1) -> Workflow:
    """The old definition, whose second step is busy in a run's first attempt."""
    workflow = Workflow("changing", title="Before", retired=retired)

    @workflow.step
    def load(ctx: Context) -> int:
        return 7

    @workflow.step(max_retries=max_retries)
    def double(ctx: Context, load: int) -> int:
        if ctx.attempt == 1:
            raise TemporaryError("later")
        return factor * load

    return workflow


def after() -> Workflow:
    """The new definition: the second step has another name, and returns something else."""
    workflow = Workflow("changing", title="After")

    @workflow.step
    def load(ctx: Context) -> str:
        return "seven"

    @workflow.step
    def shout(ctx: Context, load: str) -> str:
        return load.upper()

    return workflow


@pytest.fixture
def bench() -> Bench:
    """A worker with the old definition."""
    return Bench(before())


def half_way(bench: Bench) -> UUID:
    """Run one attempt, which completes the first step, and end the delay of the second."""
    task_id = bench.submit()
    assert bench.run(task_id).phase is Phase.RETRY_WAIT
    bench.fall_due(task_id)
    return task_id


def test_a_run_goes_on_with_its_old_definition_beside_the_new_one(bench: Bench) -> None:
    """From the step that was not done, with the old code; a new submission runs the new definition."""
    task_id = half_way(bench)
    bench.deploy(after(), before(retired=True))

    assert bench.result(bench.run(task_id, 2))["output"] == 14
    assert bench.topics(task_id).count("step_completed") == 2
    assert bench.result(bench.run(bench.submit()))["output"] == "SEVEN"


def test_a_run_goes_on_when_its_strategy_is_retired_altogether(bench: Bench) -> None:
    """No current definition is needed to end what has begun."""
    task_id = half_way(bench)
    bench.deploy(before(retired=True))

    assert bench.result(bench.run(task_id, 2))["output"] == 14


def test_a_run_whose_old_definition_is_gone_fails_with_a_sentence(bench: Bench) -> None:
    """It says how to keep the next one going, and what becomes of this one."""
    task_id = half_way(bench)
    bench.deploy(after())
    execution = bench.run(task_id, 2)

    assert execution.failure is not None
    assert execution.failure.failure.type == "definition_changed"
    assert "retired=True" in execution.failure.failure.message
    assert "submit it again" in execution.failure.failure.message


def test_a_run_goes_on_with_new_code_under_the_same_definition(bench: Bench) -> None:
    """A corrected step is what people deploy for: unfinished runs take it, without anything being retired."""
    task_id = half_way(bench)
    bench.deploy(before(factor=3))

    assert bench.result(bench.run(task_id, 2))["output"] == 21


@pytest.mark.parametrize(("pinned", "now"), [(1, 0), (0, 1), (None, 0)])
def test_the_retries_of_a_step_are_those_that_it_was_submitted_with(pinned: int | None, now: int) -> None:
    """As all else about retries: the plan of the run says how many, whatever the step says by now."""
    bench = Bench(before(max_retries=pinned))
    task_id = bench.submit()
    bench.deploy(before(max_retries=now))

    assert bench.run(task_id).phase is (Phase.FAILED if pinned == 0 else Phase.RETRY_WAIT)
