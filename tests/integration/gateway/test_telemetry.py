"""Traces and log lines by the public API."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from services.gateway.telemetry_answers import LogPage, Trace
from shared.telemetry.records import SpanRow, line_rows, span_rows
from shared.telemetry.tracing import TASK_ID
from tests.integration.gateway.stage import Stage
from tests.unit.shared.telemetry.test_records import line, spans, unmasked

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def shown(stage: Stage) -> str:
    """A task that the status service knows, submitted in a client's trace."""
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    body = {"strategy_id": "sma-crossover", "symbols": ["AAPL"]}
    accepted = await stage.client.post("/api/tasks", json=body, headers=headers)
    assert (accepted.status_code, accepted.headers["x-trace-id"]) == (202, TRACE)
    task_id = str(accepted.json()["task_id"])
    stage.status.show(await stage.execution(task_id))
    return task_id


async def test_a_trace_is_answered_as_it_is_documented(stage: Stage) -> None:
    """The spans that processes have kept, under the id that the client gave."""
    task_id = await shown(stage)
    (row,) = span_rows(spans(**{TASK_ID: task_id}), "executor.worker", unmasked)
    stage.status.telemetry.keep([SpanRow(UUID(TRACE), UUID(task_id), row.number, row.body)], [])
    answer = await stage.client.get(f"/api/tasks/{task_id}/trace")
    trace = Trace.model_validate(answer.json())
    assert (trace.trace_id, [span.name for span in trace.spans]) == (TRACE, ["outer", "inner"])
    assert set(answer.json()) == set(Trace.model_fields)


async def test_log_lines_are_answered_as_they_are_documented(stage: Stage) -> None:
    """With the level and the place that were asked for."""
    task_id = await shown(stage)
    lines = [line(task_id, "started", step="prices", symbol="AAPL", bars=3), line(task_id, "failed", level="error")]
    stage.status.telemetry.keep([], line_rows(lines, "executor.worker", unmasked))
    answer = await stage.client.get(f"/api/tasks/{task_id}/logs", params={"limit": 1})
    page = LogPage.model_validate(answer.json())
    assert (page.items[0].event, page.items[0].step, page.items[0].fields) == ("started", "prices", {"bars": 3})
    assert set(answer.json()["items"][0]) == set(type(page.items[0]).model_fields)
    for query in ({"after": page.next_cursor}, {"level": "warning"}):
        found = (await stage.client.get(f"/api/tasks/{task_id}/logs", params=query)).json()
        assert ([each["event"] for each in found["items"]], found["next_cursor"]) == (["failed"], None)


@pytest.mark.parametrize("what", ["trace", "logs"])
async def test_of_a_task_that_is_not_projected_yet_nothing_is_known_and_of_an_unknown_one_less(
    stage: Stage, what: str
) -> None:
    """An empty answer, and 404."""
    task_id = await stage.accepted()
    answer = await stage.client.get(f"/api/tasks/{task_id}/{what}")
    assert answer.status_code == 200
    assert json.loads(answer.content).get("spans", []) == []
    unknown = await stage.client.get(f"/api/tasks/{uuid4()}/{what}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "task_not_found")


@pytest.mark.parametrize("what", ["trace", "logs"])
async def test_without_the_status_service_the_answer_says_what_can_be_read(stage: Stage, what: str) -> None:
    """503, and what works."""
    task_id = await stage.accepted()
    stage.status.away = True
    answer = await stage.client.get(f"/api/tasks/{task_id}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "without it" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["after=1", "level=loud", "limit=0", "limit=501", "since=1", "level=info&level=info"])
async def test_a_wrong_query_is_refused_by_its_field(stage: Stage, query: str) -> None:
    """Before anybody is asked."""
    answer = await stage.client.get(f"/api/tasks/{uuid4()}/logs?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]
