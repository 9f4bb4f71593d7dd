"""Asking for a rerun over HTTP: what is refused, what a key stands for, and who may."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from tests.builders import (
    PARALLEL_PLAN,
    PLAN,
    at_join,
    complete_member,
    fail_member,
    in_phase,
    parallel_plan,
    stamp,
)
from tests.integration.gateway.repeating import (
    DEFINITION,
    ended,
    failed,
    rerun,
    stored,
)
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user, publish, strategy, task


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
    run = await stage.execution(possible.json()["task_id"])
    assert run.next_position() == (first_left, "AAPL" if symbol else None)


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
