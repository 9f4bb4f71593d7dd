"""What every answer has in common, whatever was asked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from services.gateway.components import Components
from services.gateway.problems import MEDIA_TYPE
from tests.integration.gateway.stage import Stage, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 1 << 20
PROBLEM_FIELDS = {"type", "title", "status", "detail", "code"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "route_not_found"),
        ("GET", "/api/nothing", 404, "route_not_found"),
        ("GET", "/api/tasks/", 404, "route_not_found"),
        ("PUT", "/api/tasks", 405, "method_not_allowed"),
        ("HEAD", "/api/tasks", 405, None),
        ("GET", "/api/tasks/batch", 405, "method_not_allowed"),
        ("GET", "/api/tasks/batch/steps", 404, "task_not_found"),
        ("GET", "/api/tasks/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30", 404, "task_not_found"),
        ("GET", "/api/strategies/none", 404, "strategy_not_found"),
        ("GET", "/api/tasks?limit=0", 422, "invalid_request"),
    ],
)
async def test_every_error_is_a_problem_document(
    lasting_stage: Stage, method: str, path: str, status: int, code: str | None
) -> None:
    """RFC 9457 for what we refuse and for what the framework refuses; the status is in the body too."""
    response = await lasting_stage.client.request(method, path)
    assert (response.status_code, response.headers["Content-Type"]) == (status, MEDIA_TYPE)
    if code is not None:
        document = response.json()
        assert set(document) - {"errors"} == PROBLEM_FIELDS
        assert (document["status"], document["code"]) == (status, code)
        assert document["type"] == f"urn:blotter:problem:{code}"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/tasks", "GET, POST"),
        ("/api/tasks/batch", "POST"),
        ("/api/tasks/5b0f6a0e-9d0b-4f5d-8d0b-0b6a7c1f2e30", "DELETE, GET"),
        ("/health/live", "GET"),
    ],
)
async def test_a_method_that_is_not_allowed_is_told_which_are(lasting_stage: Stage, path: str, allowed: str) -> None:
    """Allow lists the methods of all routes of the path, not of the first."""
    response = await lasting_stage.client.patch(path)
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/health/live", "/nothing", "/api/strategies", "/api/tasks?x=1", "/openapi.json"])
async def test_every_answer_names_its_trace(lasting_stage: Stage, path: str) -> None:
    """X-Trace-Id is 32 hex digits, another for each request."""
    ids = {(await lasting_stage.client.get(path)).headers["X-Trace-Id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", trace_id) for trace_id in ids)


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "\u00e9"])
async def test_a_broken_traceparent_starts_a_new_trace(lasting_stage: Stage, traceparent: str) -> None:
    """What cannot be read is left aside (W3C Trace Context, section 4.3)."""
    headers = {b"traceparent": traceparent.encode("latin-1")}
    response = await lasting_stage.client.get("/health/live", headers=headers)
    assert int(response.headers["X-Trace-Id"], 16) > 0


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536
    yield b" " * (size % 65_536)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/batch"])
async def test_a_body_over_the_limit_is_refused(lasting_stage: Stage, path: str, chunked: bool) -> None:
    """By its Content-Length, or by counting when it comes in pieces that announce nothing."""
    content = _chunks(LIMIT + 1) if chunked else b" " * (LIMIT + 1)
    headers = {"Content-Type": "application/json"}
    response = await lasting_stage.client.post(path, content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert "X-Trace-Id" in response.headers


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_just_the_limit_is_read(lasting_stage: Stage, chunked: bool) -> None:
    """The last byte that is allowed is allowed: what is refused then is its content."""
    content = _chunks(LIMIT) if chunked else b" " * LIMIT
    headers = {"Content-Type": "application/json"}
    response = await lasting_stage.client.post("/api/tasks", content=content, headers=headers)
    assert response.status_code == 422


async def test_what_nobody_foresaw_is_answered_and_tells_nothing(lasting_stage: Stage) -> None:
    """A bug is a 500 with the trace id to report, and without the exception's words."""
    components: Components = lasting_stage.app.state.components
    lasting_stage.app.state.components = None
    try:
        with capture_logs() as logged:
            response = await lasting_stage.client.post("/api/tasks", json=task())
    finally:
        lasting_stage.app.state.components = components
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["Content-Type"] == MEDIA_TYPE
    assert "X-Trace-Id" in response.headers
    assert "assert" not in response.text.lower()
    assert [entry["event"] for entry in logged] == ["request.failed"]
