"""Running a task once more over HTTP: from its start, or from a step on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from shared.domain.catalogue import StepDescription, StepEffect
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef, Output, OutputKind
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
    parallel_plan,
    running,
    stamp,
    submitted,
    with_order,
)
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user, publish, strategy, task

DEFINITION = "1" * 64
"""The hash of the strategies that the stage publishes."""
REF = ObjectRef(uri="object://sha256/" + "a" * 64, media_type="text/csv", size=9, sha256="a" * 64)
FRAME = Output(kind=OutputKind.POLARS_FRAME, ref=REF)


def kept(name: str, digit: str = "0") -> Artifact:
    """Something that a step keeps; of one name, those of different digits are different."""
    ref = ObjectRef(uri=f"object://sha256/{digit * 64}", media_type="image/png", size=1, sha256=digit * 64)
    return Artifact(name=name, ref=ref)


def completed(run: WorkflowExecution, second: float, *artifacts: Artifact, output: Output = FRAME) -> None:
    """Complete the step that comes next, which keeps these artifacts."""
    position = run.next_position()
    assert position is not None
    step, symbol = position
    run.complete_step(
        stamp(second),
        attempt=run.attempts,
        step=step,
        symbol=symbol,
        output=output,
        started_at=stamp(second - 0.5).at,
        artifacts=artifacts,
    )


def ended(**changes: Any) -> WorkflowExecution:
    """A run of today's definition that has succeeded; its first and its last step kept a chart."""
    run = running(**{"definition_hash": DEFINITION, "steps": PLAN} | changes)
    completed(run, 2, kept("early.png"))
    completed(run, 3)
    completed(run, 4)
    completed(run, 5, kept("late.png"))
    complete_all(run)
    return run


def failed(*, completed_steps: int, at: str, symbol: str | None = None, **changes: Any) -> WorkflowExecution:
    """A run of today's definition that has failed in a step, after so many that are complete."""
    run = running(definition_hash=DEFINITION, **changes)
    for _ in range(completed_steps):
        completed(run, 2)
    run.fail(*(stamp(4),), attempt=1, failure=failure(retryable=False), step=at, symbol=symbol, started_at=stamp(3).at)
    return run


async def stored(stage: Stage, execution: WorkflowExecution) -> WorkflowExecution:
    """Let the log know a run."""
    await stage.log.append(execution.collect_events())
    return execution


async def rerun(stage: Stage, parent: WorkflowExecution, key: str | None = None, **body: Any) -> httpx.Response:
    """Ask for it."""
    headers = {"Idempotency-Key": key} if key else {}
    return await stage.client.post(f"/api/tasks/{parent.id}/rerun", json=body, headers=headers)


async def made(stage: Stage, parent: WorkflowExecution, **body: Any) -> WorkflowExecution:
    """Run a task once more, and read the new one from the log."""
    response = await rerun(stage, parent, **body)
    assert response.status_code == 202, response.text
    return await stage.execution(response.json()["task_id"])


async def fanning(stage: Stage) -> None:
    """Let the gateway know a strategy with a step that runs side by side."""
    await publish(stage.log, strategy(), strategy(strategy_id="fan", steps=PARALLEL_PLAN))
    await stage.knows("fan")


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
    assert (run.phase, run.next_position(), run.submitted.parameters) == (
        *(Phase.WAITING, ("decide", None)),
        {"fast": 5, "slow": 6},
    )
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


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.ended])
async def test_a_task_that_may_still_bring_results_is_not_rerun_from_a_step(stage: Stage, phase: Phase) -> None:
    """It says how the task stands, and what to do."""
    plan = PARALLEL_PLAN if phase in (Phase.AT_JOIN, Phase.JOINED) else PLAN
    parent = await stored(stage, in_phase(phase, definition_hash=DEFINITION, steps=plan))
    response = await rerun(stage, parent, from_step="decide")
    assert (response.status_code, response.json()["code"]) == (409, "not_rerunnable")
    assert "Wait for its end or cancel it" in response.json()["detail"]
    assert await stage.runs() == 1


@pytest.mark.parametrize("body", [{}, {"parameters": {"fast": 0}}])
async def test_a_strategy_that_has_changed_is_not_rerun_from_a_step(stage: Stage, body: dict[str, Any]) -> None:
    """Outputs of other steps may not fit. That comes first: other parameters would not help."""
    parent = await stored(stage, ended(definition_hash="0" * 64))
    response = await rerun(stage, parent, from_step="decide", **body)
    assert (response.status_code, response.json()["code"]) == (409, "definition_changed")
    assert "without from_step" in response.json()["detail"]
    assert (await rerun(stage, parent)).status_code == 202


@pytest.mark.parametrize(
    ("parent", "first_left", "symbol"),
    [
        (failed(completed_steps=0, at="load"), "load", None),
        (failed(completed_steps=1, at="analyse", symbol="AAPL"), "analyse", "AAPL"),
        (failed(completed_steps=2, at="analyse", symbol="MSFT"), "analyse", "MSFT"),
        (in_phase(Phase.CANCELLED, definition_hash=DEFINITION), "load", None),
    ],
    ids=["the first step failed", "the first symbol failed", "a later symbol failed", "cancelled at its start"],
)
async def test_every_earlier_step_must_be_done(
    stage: Stage, parent: WorkflowExecution, first_left: str, symbol: str | None
) -> None:
    """The answer names the first one that is not, and its symbol; from there on, or before, it goes."""
    await stored(stage, parent)
    refused, possible = [await rerun(stage, parent, from_step=step) for step in ("decide", first_left)]
    assert (refused.status_code, refused.json()["code"]) == (409, "not_rerunnable")
    assert (
        f"Step {first_left!r} of task {parent.id} is not done{f' for {symbol}' if symbol else ''}"
        in (refused.json()["detail"])
    )
    assert possible.status_code == 202, possible.text
    assert (await stage.execution(possible.json()["task_id"])).next_position() == (
        *(first_left,),
        "AAPL" if symbol else None,
    )


async def test_a_member_whose_failure_ended_the_run_is_not_done(stage: Stage) -> None:
    """Its record is settled, and nothing can build on it."""
    plan = parallel_plan(on_error="fail")
    await publish(stage.log, strategy(strategy_id="strict", steps=plan))
    await stage.knows("strict")
    parent = at_join(strategy_id="strict", definition_hash=DEFINITION, steps=plan)
    complete_member(parent, "AAPL", stamp(4))
    fail_member(parent, "MSFT", stamp(5))
    await stored(stage, parent)
    response = await rerun(stage, parent, from_step="rank")
    assert response.status_code == 409
    assert "Step 'analyse'" in response.json()["detail"]
    assert "for MSFT" in response.json()["detail"]
    assert (await rerun(stage, parent, from_step="analyse")).status_code == 202


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"from_step": "nowhere"}, "from_step", "load, analyse, decide"),
        ({"from_step": ""}, "from_step", "at least 1 character"),
        ({"from_step": 3}, "from_step", "string"),
        ({"parameters": {"fast": 0}}, "parameters.fast", "minimum"),
        ({"parameters": {"fast": "\x00"}}, "parameters.fast", "NUL"),
        ({"parameters": []}, "parameters", "dictionary"),
        ({"from_step": "decide", "parameters": {"fast": 0}}, "parameters.fast", "minimum"),
        ({"symbols": ["MSFT"]}, "symbols", "not known here"),
        ({"priority": "urgent"}, "priority", "'high'"),
    ],
)
async def test_bad_input_is_named(stage: Stage, body: dict[str, Any], field: str, says: str) -> None:
    """Nothing is recorded then."""
    parent = await stored(stage, ended())
    response = await rerun(stage, parent, **body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["field"], says in error["message"]) == (field, True), error
    assert await stage.runs() == 1


@pytest.mark.parametrize("task_id", [str(uuid4()), "no-id"])
async def test_an_unknown_task_is_not_found(stage: Stage, task_id: str) -> None:
    """An id that no task can have is unknown too."""
    response = await stage.client.post(f"/api/tasks/{task_id}/rerun", json={"from_step": "load"})
    assert (response.status_code, response.json()["code"]) == (404, "task_not_found")


async def test_a_key_stands_for_one_rerun(stage: Stage) -> None:
    """The same again answers the first one; another body, another task and a submission are refused."""
    parent, other = await stored(stage, ended()), await stored(stage, ended())
    first, again = [await rerun(stage, parent, key="once", from_step="decide") for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 200)
    assert (again.json(), again.headers["Location"]) == (first.json(), first.headers["Location"])
    refused = [
        await rerun(stage, parent, key="once"),
        await rerun(stage, other, key="once", from_step="decide"),
        await rerun(stage, parent, key="once", from_step="nowhere"),
        await stage.client.post("/api/tasks", json=task(), headers={"Idempotency-Key": "once"}),
    ]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "idempotency_key_reused")] * 4
    assert await stage.runs() == 3


async def test_a_repeat_is_answered_though_the_rerun_could_not_be_made_any_more(stage: Stage) -> None:
    """The task has gone on meanwhile, and the strategy has changed, and then is gone."""
    parent = await stored(stage, failed(completed_steps=3, at="decide"))
    first = await rerun(stage, parent, key="once", from_step="decide")
    parent.retry_now(stamp(10))
    await stored(stage, parent)
    answers = [await rerun(stage, parent, key="once", from_step="decide")]
    await publish(stage.log, strategy(definition_hash="2" * 64), strategy(strategy_id="newer"))
    await stage.knows("newer")
    answers.append(await rerun(stage, parent, key="once", from_step="decide"))
    await publish(stage.log, strategy(strategy_id="another"))
    await stage.knows("another")
    answers.append(await rerun(stage, parent, key="once", from_step="decide"))
    assert [(each.status_code, each.json()) for each in answers] == [(200, first.json())] * 3


async def test_twenty_at_once_make_one_task(stage: Stage) -> None:
    """Whoever appends first makes it, with all that it takes over; all the others are answered with it."""
    parent = await stored(stage, ended())
    answers = await asyncio.gather(*(rerun(stage, parent, key="once", from_step="decide") for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 19}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert await stage.runs() == 2


async def test_without_a_key_each_request_makes_a_task(stage: Stage) -> None:
    """A task may be run again as often as somebody likes."""
    parent = await stored(stage, ended())
    ids = {(await rerun(stage, parent)).json()["task_id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("from_step", [None, "decide"])
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(VERA, 403, "forbidden"), (BOB, 403, "not_your_task"), (ADA, 202, None), (ROOT, 202, None)],
)
async def test_a_trader_reruns_its_own_tasks_and_an_admin_any(
    keyed: Stage, key: str, status: int, code: str | None, from_step: str | None
) -> None:
    """The new task is the caller's; the runs of the builders are ada's."""
    parent = await stored(keyed, ended())
    path = f"/api/tasks/{parent.id}/rerun"
    response = await keyed.client.post(path, json={"from_step": from_step}, headers=as_user(key))
    assert (response.status_code, response.json().get("code")) == (status, code)
    if status == 202:
        run = await keyed.execution(response.json()["task_id"])
        assert run.submitted.user_id == {ADA: "ada", ROOT: "root"}[key]
    assert await keyed.runs() == (2 if status == 202 else 1)


async def test_what_the_openapi_document_shows_is_accepted_or_refused_so(stage: Stage) -> None:
    """The examples of the body make tasks, that of the refusal is one that occurs, and orders are spoken of."""
    document = stage.app.openapi()
    operation = document["paths"]["/api/tasks/{task_id}/rerun"]["post"]
    for body in document["components"]["schemas"]["RerunRequest"]["examples"]:
        assert (await rerun(stage, await stored(stage, ended()), **body)).status_code == 202
    refused = await rerun(stage, await stored(stage, ended(definition_hash="0" * 64)), from_step="decide")
    example = operation["responses"]["409"]["content"]["application/problem+json"]["example"]
    assert {name: example[name] for name in ("type", "title", "status", "code")} == {
        name: refused.json()[name] for name in ("type", "title", "status", "code")
    }
    assert "places NEW orders" in operation["description"]
