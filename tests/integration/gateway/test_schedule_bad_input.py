"""Every field of a schedule, with everything that it must not be."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.integration.gateway.scheduling import PATH, schedule, stored
from tests.integration.gateway.stage import Stage
from tests.integration.gateway.test_bad_input import CASES as OF_RUNS
from tests.integration.gateway.test_bad_input import NOT_NUMBERS, NOT_STRINGS, PARAMETER_CASES

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_TIMES: list[Any] = [
    *NOT_STRINGS[1:],
    "",
    "tomorrow",
    "2026-01-31",
    "2026-01-31T14:30:00",
    "2026-02-30T14:30:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59Z",
    "2200-01-01T00:00:01Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "2199-01-31T14:30:00Z\x00",
    "2199-01-31\ud80014:30:00Z",
    "\ud800",
    10**20,
]
NOT_TEXTS = [*NOT_STRINGS, "", "x" * 101, "a\x00", "a\nb", "\ud800"]
NOT_OBJECTS: list[Any] = [None, 1, "open", []]
HUGE = [float("nan"), float("inf"), float("-inf"), 1e308, 10**400]

CASES: dict[str, list[Any]] = {
    "name": NOT_TEXTS,
    "when": [None, 1, "0 9 * * *", [], {}, {"cron": "@daily", "every_seconds": 60}],
    "when.weekly": [{"weekly": "mon"}],
    "when.at": [{"at": value} for value in [None, *NOT_TIMES, "2020-01-01T00:00:00Z"]],
    "when.cron": [
        {"cron": value}
        for value in [
            *NOT_TEXTS,
            "\u0660 9 * * *",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "0 0 30 2 *",
            "*/0 * * * *",
            "5-1 * * * *",
            "@never",
            "@reboot",
            "0 9 * * mon-funday",
            "1" * 60 + " * * * *",
            "99999999999999999999 * * * *",
        ]
    ],
    "when.every_seconds": [{"every_seconds": value} for value in [None, *NOT_NUMBERS, *HUGE, 0, -1, 5e-324, 1e-9]],
    "when.session": [{"session": value} for value in NOT_OBJECTS],
    "when.session.event": [{"session": {"event": value}} for value in [*NOT_STRINGS, "", "noon", "OPEN"]]
    + [{"session": {}}, {"session": {"offset_seconds": 5}}],
    "when.session.offset_seconds": [
        {"session": {"event": "open", "offset_seconds": value}} for value in [None, *NOT_NUMBERS, *HUGE, 86_401]
    ],
    "when.session.close": [{"session": {"event": "open", "close": 1}}],
    "timezone": [*NOT_TEXTS, "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "utc ", "GMT+25", "\u00dcTC"],
    "calendar": [*NOT_TEXTS[1:], "NOWHERE", "xnys ", "../XNYS", "__class__", "\u00c4"],
    "overlap": [None, "", "never", "SKIP", 1, True, [], {}],
    "catchup_seconds": [None, *NOT_NUMBERS, *HUGE, -1, 366 * 86_400 + 1],
    "jitter_seconds": [None, *NOT_NUMBERS, *HUGE, -1, 86_401],
    "start_at": NOT_TIMES,
    "end_at": [*NOT_TIMES, "2020-01-01T00:00:00Z"],
    "max_runs": [*NOT_NUMBERS, *HUGE, 0, -1, 1.5, 10**9 + 1, 2**70],
    "pause_on_failure": [None, 0, 1, "true", [], {}],
    "enabled": [None, 0, 1, "true", [], {}],
    "schedule_id": ["5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30"],
}
TOGETHER: list[tuple[dict[str, Any], str]] = [
    ({"when": {"session": {"event": "open", "offset_seconds": 300}}}, "calendar"),
    ({"start_at": "2199-01-01T00:00:00Z", "end_at": "2198-01-01T00:00:00Z"}, "end_at"),
    ({"when": {"at": "2199-01-01T00:00:00Z"}, "end_at": "2198-01-01T00:00:00Z"}, "when.at"),
    ({"when": {"at": "2198-01-01T00:00:00Z"}, "start_at": "2199-01-01T00:00:00Z"}, "when.at"),
    ({"when": {"at": "2027-01-02T15:00:00Z"}, "calendar": "XNYS"}, "when.at"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def schedule_id(lasting_stage: Stage) -> str:
    """A schedule that nothing is wrong with."""
    return str((await stored(lasting_stage, user_id="local")).id)


def _cases(cases: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(field, value, id=f"{field}-{number}")
        for field, values in cases.items()
        for number, value in enumerate(values)
    ]


async def _refused(stage: Stage, method: str, path: str, body: Any) -> list[str]:
    """Send what Python's json writes, and return the fields that are refused."""
    headers = {"Content-Type": "application/json"}
    response = await stage.client.request(method, path, content=json.dumps(body), headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), response.text
    assert all(error["message"] for error in response.json()["errors"])
    return [error["field"] for error in response.json()["errors"]]


@pytest.mark.parametrize(("field", "value"), _cases(CASES | OF_RUNS))
async def test_a_wrong_value_is_refused_by_the_name_of_its_field(lasting_stage: Stage, field: str, value: Any) -> None:
    """As for a task: nothing is converted, guessed or dropped, and nothing is recorded; a preview says the same."""
    head = await lasting_stage.log.head()
    body = schedule(**{field.partition(".")[0]: value})
    assert field in await _refused(lasting_stage, "POST", PATH, body)
    assert field in await _refused(lasting_stage, "POST", f"{PATH}/preview", body)
    assert await lasting_stage.log.head() == head


@pytest.mark.parametrize(("field", "value"), _cases(CASES | OF_RUNS))
async def test_a_wrong_change_is_refused_by_the_name_of_its_field(
    lasting_stage: Stage, schedule_id: str, field: str, value: Any
) -> None:
    """What could not be written is not changed to either."""
    head = await lasting_stage.log.head()
    body = {field.partition(".")[0]: value}
    assert field in await _refused(lasting_stage, "PATCH", f"{PATH}/{schedule_id}", body)
    assert await lasting_stage.log.head() == head


@pytest.mark.parametrize(("changes", "field"), TOGETHER)
async def test_what_does_not_go_together_is_refused(lasting_stage: Stage, changes: dict[str, Any], field: str) -> None:
    """Each field alone is right."""
    assert await _refused(lasting_stage, "POST", PATH, schedule(**changes)) == [field]


@pytest.mark.parametrize(("parameters", "field"), PARAMETER_CASES)
async def test_wrong_parameters_are_refused_by_their_path(
    lasting_stage: Stage, parameters: dict[str, Any], field: str
) -> None:
    """By the strategy's schema, and what the log can keep: at once, and not at the first time that it fires."""
    assert await _refused(lasting_stage, "POST", PATH, schedule(parameters=parameters)) == [field]


@pytest.mark.parametrize("unknown", [str(uuid4()), "no-id", "\u00e9", "0" * 36])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/enable"),
        ("POST", "/disable"),
        ("POST", "/trigger"),
        ("POST", "/backfill"),
        ("GET", "/upcoming"),
        ("GET", "/history"),
    ],
)
async def test_an_unknown_schedule_is_not_found(lasting_stage: Stage, unknown: str, method: str, rest: str) -> None:
    """An id that no schedule can have is unknown too."""
    body = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"} if rest == "/backfill" else {}
    content = {"json": body} if method in ("POST", "PATCH") and rest in ("", "/trigger", "/backfill") else {}
    response = await lasting_stage.client.request(method, f"{PATH}/{unknown}{rest}", **content)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["code"]) == (404, "schedule_not_found"), response.text


@pytest.mark.parametrize("missing", ["name", "strategy_id", "symbols", "when"])
async def test_a_missing_field_is_named(lasting_stage: Stage, missing: str) -> None:
    """Four fields are required."""
    body = schedule()
    del body[missing]
    assert await _refused(lasting_stage, "POST", PATH, body) == [missing]


async def test_parameters_and_times_are_named_together(lasting_stage: Stage) -> None:
    """Whoever corrects one of them hears of the other at once."""
    body = schedule(parameters={"fast": 0}, timezone="Mars/Olympus")
    assert sorted(await _refused(lasting_stage, "POST", PATH, body)) == ["parameters.fast", "timezone"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'"text"', b"\xff\xfe", b'{"a":' * 50_000, b"1", b"NaN"])
@pytest.mark.parametrize("path", ["", "/preview", "/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30/trigger"])
async def test_a_body_that_is_no_json_object_is_refused(lasting_stage: Stage, content: bytes, path: str) -> None:
    """Also where a body may be left out."""
    headers = {"Content-Type": "application/json"}
    response = await lasting_stage.client.post(PATH + path, content=content, headers=headers)
    assert (response.status_code, [error["field"] for error in response.json()["errors"]]) == (422, ["body"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"overlap": "never"}, "overlap"),
        ({"overlap": 1}, "overlap"),
        ({"overlaps": "skip"}, "overlaps"),
        ({"overlap": "\x00"}, "overlap"),
    ],
)
async def test_a_wrong_trigger_is_refused(lasting_stage: Stage, body: Any, field: str) -> None:
    """There is one thing to say."""
    path = f"{PATH}/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30/trigger"
    assert await _refused(lasting_stage, "POST", path, body) == [field]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unknown=1", "unknown"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1&limit=2", "limit"),
        ("strategy_id=a%20b", "strategy_id"),
        ("user_id=%00", "user_id"),
        ("user_id=", "user_id"),
        ("enabled=", "enabled"),
        ("enabled=1", "enabled"),
        ("enabled=True", "enabled"),
        ("enabled=true&enabled=false", "enabled"),
        ("cursor=%00", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
    ],
)
async def test_a_wrong_query_is_refused_by_the_name_of_its_parameter(
    lasting_stage: Stage, query: str, field: str
) -> None:
    """Unknown parameters, repeated ones and wrong values are all refused."""
    response = await lasting_stage.client.get(f"{PATH}?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "?x=1"),
        ("DELETE", "?reason=x"),
        ("POST", "/enable?reason=x"),
        ("POST", "/disable?reason=%00"),
        ("POST", "/disable?why=x"),
        ("POST", "/trigger?overlap=skip"),
        ("GET", "/history?cursor=abc"),
        ("GET", "/history?n=3"),
    ],
)
async def test_no_route_ignores_a_query_parameter(lasting_stage: Stage, method: str, rest: str) -> None:
    """A parameter that nobody reads is a mistake of the caller's, which it should hear of."""
    path = f"{PATH}/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30{rest}"
    assert (await lasting_stage.client.request(method, path)).status_code == 422


@pytest.mark.parametrize("key", ["", "x" * 201, "with blank", "\u00e9"])
@pytest.mark.parametrize("path", ["", "/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30/trigger"])
async def test_a_key_that_is_no_key_is_refused(lasting_stage: Stage, key: str, path: str) -> None:
    """Keys are 1 to 200 visible ASCII characters."""
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    body = {} if path else schedule()
    response = await lasting_stage.client.post(PATH + path, json=body, headers=headers)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]
