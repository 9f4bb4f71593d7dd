"""Running a task once more over HTTP: from its start, or from a step on."""

from __future__ import annotations

import msgspec
import pytest

from shared.domain.catalogue import StepDescription, StepEffect
from shared.domain.execution import fold
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from tests.builders import (
    PARALLEL_PLAN,
    PLAN,
    WORKER,
    at_join,
    complete_all,
    complete_member,
    complete_next,
    fail_member,
    failure,
    in_phase,
    running,
    stamp,
    submitted,
    with_order,
)
from tests.integration.gateway.repeating import (
    DEFINITION,
    FRAME,
    completed,
    ended,
    fanning,
    kept,
    made,
    rerun,
    stored,
)
from tests.integration.gateway.stage import Stage, publish, strategy


@pytest.mark.parametrize("phase", Phase)
async def test_a_task_in_any_state_is_run_once_more_from_its_start(stage: Stage, phase: Phase) -> None:
    """A new task with the old one as its parent, what that one was submitted with, and nothing of its work."""
    parent = await stored(stage, in_phase(phase, max_retries=7, timeout_seconds=99.0, result_ttl_seconds=60.0))
    response = await rerun(stage, parent)
    answer = response.json()
    assert (response.status_code, answer["state"], answer["symbols"]) == (202, "PENDING", ["AAPL", "MSFT"])
    assert set(answer) == {"task_id", "state", "priority", "strategy_id", "symbols", "submitted_at"}
    assert response.headers["Location"] == f"/api/tasks/{answer['task_id']}"
    task = (await stage.client.get(response.headers["Location"])).json()
    assert (task["parent_task_id"], task["user_id"], task["attempts"]) == (str(parent.id), "local", 0)
    (event,) = await stage.log.history((await stage.execution(answer["task_id"])).id)
    new, old = event.event, parent.submitted
    for name in ("strategy_id", "symbols", "parameters", "labels", "priority", "max_retries", "timeout_seconds"):
        assert getattr(new, name) == getattr(old, name), name
    assert (await stage.log.execution(parent.id)).version == parent.version


async def test_it_is_about_the_time_that_a_schedule_fired_the_first_one_for(stage: Stage) -> None:
    """A run for last Monday, done again, is for last Monday; it is no firing of the schedule, and not held."""
    schedule_id = "7d4c4f9e-1111-4222-8333-444455556666"
    parent = await stored(stage, submitted(scheduled_at=stamp(-600).at, schedule_id=schedule_id, held=True))
    answer = (await rerun(stage, parent)).json()
    new = (await stage.execution(answer["task_id"])).submitted
    assert (new.scheduled_at, new.schedule_id, new.held) == (stamp(-600).at, None, False)


async def test_it_runs_by_the_definition_of_today(stage: Stage) -> None:
    """The plan is pinned anew; what was the task's own choice stays."""
    run = await made(stage, await stored(stage, in_phase(Phase.FAILED, steps=PARALLEL_PLAN, max_retries=7)))
    assert (run.submitted.definition_hash, run.submitted.steps) == (DEFINITION, PLAN)
    assert (run.submitted.max_retries, run.submitted.retry_delay_seconds) == (7, 0.5)


async def test_what_is_to_be_different_is_given(stage: Stage) -> None:
    """Parameters and the level; null is as if it were left out."""
    parent = await stored(stage, submitted())
    run = await made(stage, parent, parameters={"fast": 5}, priority="high", from_step=None)
    assert (run.submitted.parameters, str(run.submitted.priority)) == ({"fast": 5}, "high")


@pytest.mark.parametrize("from_step", [None, "load"])
async def test_a_strategy_that_has_gone_cannot_be_run_once_more(stage: Stage, from_step: str | None) -> None:
    """The same answer as to a submission."""
    parent = await stored(stage, ended(strategy_id="gone"))
    response = await rerun(stage, parent, from_step=from_step)
    assert (response.status_code, response.json()["code"]) == (404, "strategy_not_found")


async def test_parameters_that_fit_no_more_are_named(stage: Stage) -> None:
    """They are checked against the schema of today, also those of the old task."""
    parent = await stored(stage, submitted(parameters={"window": 3}))
    response = await rerun(stage, parent)
    assert [error["field"] for error in response.json()["errors"]] == ["parameters.window"]
    assert (await rerun(stage, parent, parameters={})).status_code == 202


async def test_from_a_step_on_what_the_earlier_ones_made_is_taken_over(stage: Stage) -> None:
    """Outputs as they are in the log, and artifacts of the steps before it; the step itself, and all after it, run."""
    parent = await stored(stage, ended())
    run = await made(stage, parent, from_step="decide", parameters={"fast": 5, "slow": 6})
    assert (run.phase, run.next_position()) == (Phase.WAITING, ("decide", None))
    assert run.submitted.parameters == {"fast": 5, "slow": 6}
    assert [run.steps[key].output for key in (("load", None), ("analyse", "AAPL"), ("analyse", "MSFT"))] == [FRAME] * 3
    assert run.artifacts == {"early.png": kept("early.png")}
    rows = (await stage.client.get(f"/api/tasks/{run.id}/steps")).json()["items"]
    assert [row["state"] for row in rows] == ["completed", "completed", "completed", "pending"]


async def test_the_task_and_what_it_takes_over_are_recorded_at_once(stage: Stage) -> None:
    """One append: nobody ever sees the one without the other, and the log says who did it and from where."""
    parent = await stored(stage, ended())
    run = await made(stage, parent, from_step="decide")
    first, second = await stage.log.history(run.id)
    assert [each.event.TOPIC for each in (first, second)] == ["execution.submitted", "execution.steps_taken_over"]
    assert second.position - first.position == 1
    assert first.event.append_id == second.event.append_id
    assert (first.event.actor, second.event.actor) == ("user:local", "user:local")
    assert getattr(second.event, "from_task") == str(parent.id)  # noqa: B009


async def test_a_projection_that_knows_half_of_it_is_passed_over(stage: Stage) -> None:
    """Whoever has asked for the rerun sees at once what it begins with."""
    run = await made(stage, await stored(stage, ended()), from_step="decide")
    half = fold(None, [run.submitted])
    assert half is not None
    stage.status.show(half)
    progress = (await stage.client.get(f"/api/tasks/{run.id}")).json()["progress"]
    assert (progress["completed_steps"], progress["current_step"]) == (2, "decide")


async def test_from_the_first_step_on_nothing_is_taken_over(stage: Stage) -> None:
    """Its record says nothing of it then."""
    run = await made(stage, await stored(stage, ended()), from_step="load")
    assert (run.version, run.next_position(), run.artifacts) == (1, ("load", None), {})


async def test_failures_that_were_collected_are_taken_over(stage: Stage) -> None:
    """The symbol is left out again; what its branches have completed is taken over from their own streams."""
    await fanning(stage)
    parent = at_join(strategy_id="fan", definition_hash=DEFINITION)
    fail_member(parent, "AAPL", stamp(4))
    complete_member(parent, "MSFT", stamp(5), 2.5)
    parent.settle_stage(stamp(6))
    parent.claim(stamp(7), attempt=2, worker=WORKER)
    complete_all(parent, stamp(8))
    await stored(stage, parent)
    for from_step, comes_next in (("rank", ("rank", "MSFT")), ("decide", ("decide", None))):
        run = await made(stage, parent, from_step=from_step)
        assert run.next_position() == comes_next
        assert run.left_out == {("rank", "AAPL")}
        assert run.steps["analyse", "AAPL"].failure == failure(retryable=False)
        assert run.steps["analyse", "MSFT"].output == Output(inline=2.5)


async def test_artifacts_of_branches_are_taken_over(stage: Stage) -> None:
    """Branches keep theirs in streams of their own."""
    await fanning(stage)
    parent = at_join(strategy_id="fan", definition_hash=DEFINITION)
    for symbol, second in (("MSFT", 4), ("AAPL", 5)):
        branch = parent.members["analyse", symbol]
        branch.claim(stamp(second), attempt=1, worker=WORKER)
        branch.complete(
            stamp(second), attempt=1, output=FRAME, started_at=stamp(second).at, artifacts=(kept(f"{symbol}.png"),)
        )
    parent.settle_stage(stamp(6))
    parent.request_cancel(stamp(7))
    await stored(stage, parent)
    assert list((await made(stage, parent, from_step="rank")).artifacts) == ["MSFT.png", "AAPL.png"]
    assert (await made(stage, parent, from_step="analyse")).artifacts == {}


async def test_of_a_name_the_artifact_of_an_earlier_step_is_taken_over(stage: Stage) -> None:
    """A later step had put another one in its place, and does not run before."""
    parent = running(definition_hash=DEFINITION)
    completed(parent, 2, kept("chart.png", "1"))
    completed(parent, 3, kept("chart.png", "2"))
    completed(parent, 4)
    completed(parent, 5, kept("chart.png", "3"))
    complete_all(parent)
    await stored(stage, parent)
    digits = [(await made(stage, parent, from_step=step)).artifacts["chart.png"] for step in ("analyse", "decide")]
    assert digits == [kept("chart.png", "1"), kept("chart.png", "2")]


async def test_what_was_taken_over_can_be_taken_over_again(stage: Stage) -> None:
    """A rerun of a rerun, from the same step or an earlier one: what a step kept stays with that step."""
    parent = running(definition_hash=DEFINITION)
    completed(parent, 2, kept("load.png"))
    completed(parent, 3, kept("AAPL.png"))
    completed(parent, 4, kept("MSFT.png"))
    complete_all(parent)
    child = await made(stage, await stored(stage, parent), from_step="decide")
    child.claim(stamp(20), attempt=1, worker=WORKER)
    completed(child, 21, kept("decide.png"))
    complete_all(child, stamp(22))
    await stored(stage, child)
    same = await made(stage, child, from_step="decide")
    earlier = await made(stage, child, from_step="analyse")
    assert list(same.artifacts) == ["load.png", "AAPL.png", "MSFT.png"]
    assert same.submitted.parent_task_id == str(child.id)
    assert (earlier.next_position(), list(earlier.artifacts)) == (("analyse", "AAPL"), ["load.png"])


async def test_orders_are_never_taken_over(stage: Stage) -> None:
    """They stay with the task that placed them: the new one has none before it places its own."""
    plan = (*PLAN[:2], msgspec.structs.replace(PLAN[2], effect=StepEffect.ORDERS), StepDescription(name="report"))
    await publish(stage.log, strategy(strategy_id="trader", steps=plan))
    await stage.knows("trader")
    parent = running(strategy_id="trader", definition_hash=DEFINITION, steps=plan)
    for second in (2, 3, 4):
        complete_next(parent, stamp(second))
    with_order(parent, "o-1", stamp(5))
    complete_all(parent)
    await stored(stage, parent)
    for step in ("decide", "report"):
        run = await made(stage, parent, from_step=step)
        assert (run.orders, run.next_position()) == ({}, (step, None))
