"""Submitting tasks over HTTP: what is recorded, what is refused, and what happens when it is sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.execution_events import Submitted
from shared.domain.priority import Priority
from tests.builders import PLAN
from tests.integration.gateway.stage import Stage, publish, strategy, task


async def test_a_submission_is_in_the_log_before_the_answer(stage: Stage) -> None:
    """The 202 names a task whose first event holds everything that was asked for."""
    body = task(priority="high", parameters={"fast": 5}, max_retries=7, timeout_seconds=60, labels={"desk": "eu"})
    response = await stage.client.post("/api/tasks", json=body)
    submitted = (await stage.execution(response.json()["task_id"])).submitted
    assert response.status_code == 202
    assert (submitted.priority, submitted.parameters, submitted.labels) == (Priority.HIGH, {"fast": 5}, {"desk": "eu"})
    assert (submitted.symbols, submitted.max_retries, submitted.timeout_seconds) == (("AAPL", "MSFT"), 7, 60.0)
    assert (submitted.user_id, submitted.actor) == ("local", "user:local")


async def test_the_answer_tells_where_the_task_is(stage: Stage) -> None:
    """The body holds what API.md lists, and Location leads to the task."""
    response = await stage.submit()
    document = response.json()
    assert set(document) == {"task_id", "state", "priority", "strategy_id", "symbols", "submitted_at"}
    assert (document["state"], document["priority"]) == ("PENDING", "normal")
    assert document["submitted_at"].endswith("Z")
    assert (await stage.client.get(response.headers["Location"])).json()["task_id"] == document["task_id"]


async def test_what_is_left_out_is_the_strategys_own_choice(stage: Stage) -> None:
    """Retries, timeout, first delay, plan and definition come from the catalogue, parameters stay as given."""
    submitted = (await stage.execution(await stage.accepted(max_retries=None))).submitted
    assert (submitted.max_retries, submitted.timeout_seconds, submitted.retry_delay_seconds) == (2, 600.0, 0.5)
    assert (submitted.steps, submitted.definition_hash) == (PLAN, "1" * 64)
    assert (submitted.parameters, submitted.result_ttl_seconds) == ({}, 86_400.0)


async def test_a_whole_number_may_have_a_point(stage: Stage) -> None:
    """JSON knows one kind of number, so 3.0 is an integer, as it is in JSON Schema."""
    assert (await stage.execution(await stage.accepted(max_retries=3.0))).submitted.max_retries == 3


async def test_a_task_may_choose_how_long_its_result_is_kept(stage: Stage) -> None:
    """The time to live is a setting, and a task's own (SPEC R4.3)."""
    assert (await stage.execution(await stage.accepted(result_ttl_seconds=60))).submitted.result_ttl_seconds == 60.0


async def test_the_event_bears_the_trace_of_its_request(stage: Stage) -> None:
    """An incoming traceparent is honoured in the answer, in the event and in the task."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    response = await stage.client.post("/api/tasks", json=task(), headers=headers)
    submitted = (await stage.execution(response.json()["task_id"])).submitted
    assert response.headers["X-Trace-Id"] == trace_id
    assert submitted.trace is not None
    assert submitted.trace.split("-")[1] == trace_id


async def test_unusual_parameters_come_back_as_they_went_in(stage: Stage) -> None:
    """Large integers, emoji and deep values survive the log."""
    await publish(stage.log, strategy(strategy_id="free", parameters_schema={"type": "object"}))
    parameters: dict[str, Any] = {"big": 2**70, "tiny": -(2**70), "text": "\u2603 \U0001f680", "": [[None, 1.5, True]]}
    await stage.knows("free")
    task_id = await stage.accepted(strategy_id="free", parameters=parameters)
    assert (await stage.client.get(f"/api/tasks/{task_id}")).json()["parameters"] == parameters


async def test_an_unknown_strategy_is_not_found_and_near_names_are_offered(stage: Stage) -> None:
    """A slip of the finger is answered with the name that was meant."""
    response = await stage.submit(strategy_id="sma-crosover")
    assert (response.status_code, response.json()["code"]) == (404, "strategy_not_found")
    assert "Did you mean sma-crossover?" in response.json()["detail"]


async def test_a_batch_is_recorded_in_its_order(stage: Stage) -> None:
    """All tasks of a batch are in the log under consecutive positions."""
    tasks = [task(symbols=[f"S{number}"]) for number in range(20)]
    response = await stage.client.post("/api/tasks/batch", json={"tasks": tasks})
    recorded = await stage.log.read(0, topics=[Submitted.TOPIC])
    assert response.status_code == 202
    assert [item["symbols"] for item in response.json()["items"]] == [body["symbols"] for body in tasks]
    assert [str(each.event.originator_id) for each in recorded] == [i["task_id"] for i in response.json()["items"]]
    assert recorded[-1].position - recorded[0].position == 19


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        (task(symbols=[]), 422, "tasks.3.symbols"),
        (task(parameters={"fast": 1}), 422, "tasks.3.parameters.fast"),
        (task(parameters={"fast": "\x00"}), 422, "tasks.3.parameters.fast"),
        (task(strategy_id="nothing-like-it"), 404, None),
    ],
)
async def test_one_wrong_task_stops_its_whole_batch(
    stage: Stage, wrong: dict[str, Any], status: int, field: str | None
) -> None:
    """Nothing of a batch is recorded when one of it is wrong, and the error names which."""
    response = await stage.client.post("/api/tasks/batch", json={"tasks": [task(), task(), task(), wrong, task()]})
    assert response.status_code == status
    assert [error["field"] for error in response.json().get("errors", [])] == ([field] if field else [])
    assert await stage.runs() == 0


async def test_a_batch_of_a_thousand_is_accepted_and_one_more_is_not(stage: Stage) -> None:
    """The limit is 1000 tasks."""
    tasks = [task(symbols=["A"])] * 1000
    assert (await stage.client.post("/api/tasks/batch", json={"tasks": tasks})).status_code == 202
    assert (await stage.client.post("/api/tasks/batch", json={"tasks": [*tasks, task()]})).status_code == 422
    assert await stage.runs() == 1000
