"""Every field, with everything that it must not be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.gateway.stage import Stage, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_STRINGS: list[Any] = [None, 1, 1.5, True, [], {}]
NOT_NUMBERS: list[Any] = ["3", True, [], {}, "NaN"]
DEEP: Any = None
for _ in range(40):
    DEEP = [DEEP]

CASES: dict[str, list[Any]] = {
    "strategy_id": [*NOT_STRINGS, "", "a b", "a/b", "a\x00", "x" * 101, "\ud800", "n\u00e4h"],
    "symbols": [None, "AAPL", 1, {}, [], ["AAPL", "AAPL"], [f"S{number}" for number in range(501)]],
    "symbols.0": [[None], [1], [True], [[]], [""], ["aapl"], ["A" * 21], ["A B"], ["A\n"], ["A\x00"], ["\u00c4"]],
    "priority": [None, "", "urgent", "HIGH", "high ", 1, True, [], {}],
    "parameters": [None, "x", 1, True, []],
    "max_retries": [*NOT_NUMBERS, -1, 21, 1.5, 2**70, float("nan")],
    "timeout_seconds": [*NOT_NUMBERS, 0, -1, 604_801, float("nan"), float("inf"), 10**400],
    "result_ttl_seconds": [*NOT_NUMBERS, 0, -1, 7_776_001, float("nan")],
    "labels": [None, "x", 1, [], {str(number): "v" for number in range(21)}],
    "labels.Desk": [{"Desk": "eu"}],
    "labels.desk": [{"desk": text} for text in [*NOT_STRINGS, "x" * 101, "a\x00", "a\nb", "\ud800"]],
    "unknown": [1],
    "user_id": ["someone-else"],
}
PARAMETER_CASES: list[tuple[dict[str, Any], str]] = [
    ({"fast": "20"}, "parameters.fast"),
    ({"fast": True}, "parameters.fast"),
    ({"fast": 1}, "parameters.fast"),
    ({"fast": 2.5}, "parameters.fast"),
    ({"fast": None}, "parameters.fast"),
    ({"fast": float("nan")}, "parameters.fast"),
    ({"fast": float("-inf")}, "parameters.fast"),
    ({"as_of": "yesterday"}, "parameters.as_of"),
    ({"as_of": "2026-02-30"}, "parameters.as_of"),
    ({"as_of": "2026-01-01\x00"}, "parameters.as_of"),
    ({"as_of": "\udfff"}, "parameters.as_of"),
    ({"quick": 20}, "parameters.quick"),
    ({"a\x00b": 1}, "parameters"),
    ({"fast": DEEP}, "parameters.fast" + ".0" * 32),
    ({"fast": [{"x": [1, {"y": "\x00"}]}]}, "parameters.fast.0.x.1.y"),
]


def _cases() -> list[Any]:
    return [
        pytest.param(field, value, id=f"{field}-{number}")
        for field, values in CASES.items()
        for number, value in enumerate(values)
    ]


async def _post(lasting_stage: Stage, body: Any) -> Any:
    """Post what Python's json writes, NaN, infinities and halves of surrogate pairs included."""
    headers = {"Content-Type": "application/json"}
    return await lasting_stage.client.post("/api/tasks", content=json.dumps(body), headers=headers)


@pytest.mark.parametrize(("field", "value"), _cases())
async def test_a_wrong_value_is_refused_by_the_name_of_its_field(lasting_stage: Stage, field: str, value: Any) -> None:
    """Nothing is converted, guessed or dropped; the errors name the field, and nothing is recorded."""
    response = await _post(lasting_stage, task(**{field.partition(".")[0]: value}))
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_request"), response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert field in [error["field"] for error in problem["errors"]]
    assert await lasting_stage.runs() == 0


@pytest.mark.parametrize(("parameters", "field"), PARAMETER_CASES)
async def test_wrong_parameters_are_refused_by_their_path(
    lasting_stage: Stage, parameters: dict[str, Any], field: str
) -> None:
    """Parameters are held to the strategy's schema, and to what the log, PostgreSQL and Redis can keep."""
    response = await _post(lasting_stage, task(parameters=parameters))
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert await lasting_stage.runs() == 0


@pytest.mark.parametrize("missing", ["strategy_id", "symbols"])
async def test_a_missing_field_is_named(lasting_stage: Stage, missing: str) -> None:
    """Two fields are required."""
    body = task()
    del body[missing]
    response = await _post(lasting_stage, body)
    assert [error["field"] for error in response.json()["errors"]] == [missing]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"strategy_id": "\xff"}',
        b'{"a":' * 50_000,
        b'{"strategy_id": "a", "symbols": ["A"], "max_retries": ' + b"9" * 5000 + b"}",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(lasting_stage: Stage, content: bytes) -> None:
    """Malformed JSON is bad input like any other: 422, under the name `body`."""
    response = await lasting_stage.client.post(
        "/api/tasks", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["body"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_json_must_be_called_json(lasting_stage: Stage, media_type: str | None) -> None:
    """Other media types are refused, so that no web page can post here without asking first (CORS)."""
    headers = {"Content-Type": media_type} if media_type else {}
    response = await lasting_stage.client.post("/api/tasks", content=json.dumps(task()), headers=headers)
    assert response.status_code == 422
    assert await lasting_stage.runs() == 0


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        ({}, "tasks"),
        ({"tasks": []}, "tasks"),
        ({"tasks": "x"}, "tasks"),
        ({"tasks": [1]}, "tasks.0"),
        ({"tasks": [task(), task(symbols=["a"])]}, "tasks.1.symbols.0"),
        ({"tasks": [task()], "atomic": False}, "atomic"),
    ],
)
async def test_a_wrong_batch_is_refused_by_the_place_in_it(lasting_stage: Stage, batch: Any, field: str) -> None:
    """Errors in a batch bear the number of the task."""
    response = await lasting_stage.client.post("/api/tasks/batch", json=batch)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unknown=1", "unknown"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("state=DONE", "state"),
        ("state=pending", "state"),
        ("status=PENDING", "status"),
        ("priority=urgent", "priority"),
        ("symbol=aapl", "symbol"),
        ("strategy_id=a%20b", "strategy_id"),
        ("user_id=%00", "user_id"),
        ("schedule_id=", "schedule_id"),
        ("label=desk", "label.0"),
        ("label=a:b&label=Desk:eu", "label.1"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=2026-01-01T00:00:00Z%00", "since"),
        ("until=1767225600", "until"),
        ("cursor=%00", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
    ],
)
async def test_a_wrong_query_is_refused_by_the_name_of_its_parameter(
    lasting_stage: Stage, query: str, field: str
) -> None:
    """Unknown parameters, repeated ones and wrong values are all refused."""
    response = await lasting_stage.client.get(f"/api/tasks?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    [
        "/api/strategies?limit=1",
        "/api/strategies/sma-crossover?x=1",
        "/health/live?x=1",
        "/health/ready?x=1",
        "/api/tasks/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30?x=1",
        "/api/tasks/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30/steps?cursor=-1",
        "/api/tasks/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30/events?cursor=1e3",
    ],
)
async def test_no_route_ignores_a_query_parameter(lasting_stage: Stage, path: str) -> None:
    """A parameter that nobody reads is a mistake of the caller's, which it should hear of."""
    assert (await lasting_stage.client.get(path)).status_code == 422


async def test_many_errors_are_listed_up_to_a_hundred(lasting_stage: Stage) -> None:
    """The answer stays small, and says how many there are."""
    response = await lasting_stage.client.post("/api/tasks/batch", json={"tasks": [task(priority="x")] * 150})
    assert len(response.json()["errors"]) == 100
    assert "the first 100 of 150" in response.json()["detail"]
