"""What the gateway relies on in the status service of traces and log lines: one suite for the fake and the real one,
and for the two stores behind them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import InvalidInput
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.telemetry.records import SpanRow, line_rows
from tests.builders import NOW, submitted
from tests.contract.status_services import KINDS, Side
from tests.unit.shared.telemetry.test_records import line, unmasked

TRACE = UUID("0af7651916cd43dd8448eb211c80319c")


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


def run(trace: str | None = f"00-{TRACE.hex}-00f067aa0ba902b7-01") -> WorkflowExecution:
    """A run that was submitted in a trace."""
    return submitted(at=Stamp(at=NOW, actor="user:ann", trace=trace))


def shown(side: Side) -> UUID:
    """The id of a run that is known."""
    execution = run()
    side.show(execution)
    return UUID(str(execution.id))


def span(name: str, second: int) -> dict[str, Any]:
    """A span as it is stored, cut short."""
    return {"name": name, "start_at": f"2026-03-02T14:30:{second:02}.000000Z", "duration_seconds": 1.0}


def keep_spans(side: Side, *names: str, task_id: UUID | None, trace_id: UUID = TRACE) -> None:
    """Have a process say something of a trace; each name ends with its second."""
    body = json.dumps([span(name, int(name[-2:])) for name in names]).encode()
    side.telemetry.keep([SpanRow(trace_id, task_id, len(names), body)], [])


def keep_lines(side: Side, task_id: UUID, *events: str, level: str = "info") -> None:
    """Have a process say something of a task."""
    rows = line_rows([line(str(task_id), event, level=level) for event in events], "worker", unmasked)
    side.telemetry.keep([], rows)


async def trace(side: Side, task_id: UUID) -> dict[str, Any]:
    """What is told of a task's trace."""
    document = await side.client.trace(task_id)
    assert document is not None
    return dict(json.loads(document))


async def events(side: Side, task_id: UUID, **wanted: Any) -> list[str]:
    """What was logged, page after page."""
    found: list[str] = []
    while True:
        document = await side.client.logs(task_id, list(wanted.items()))
        assert document is not None
        page = json.loads(document)
        found += [item["event"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        wanted["after"] = page["next_cursor"]


async def test_a_trace_is_what_all_processes_said_of_it_by_start(side: Side) -> None:
    """Its own spans and those that several tasks share; not those of another task in the same trace."""
    execution = run()
    side.show(execution)
    keep_spans(side, "attempt 03", "step 04", task_id=execution.id)
    keep_spans(side, "request 01", task_id=None)
    keep_spans(side, "neighbour 02", task_id=uuid4())
    keep_spans(side, "elsewhere 02", task_id=execution.id, trace_id=uuid4())
    found = await trace(side, execution.id)
    assert [each["name"] for each in found["spans"]] == ["request 01", "attempt 03", "step 04"]
    assert (found["trace_id"], found["task_id"]) == (TRACE.hex, str(execution.id))
    assert (found["truncated"], found["reason"]) == (False, None)


async def test_of_a_task_of_which_nothing_is_kept_the_trace_says_why(side: Side) -> None:
    """Because it is old, or never had one; nobody knows the trace of a task that is unknown."""
    old, untraced = run(), run(None)
    side.show(old, untraced)
    found = await trace(side, old.id)
    assert found["spans"] == []
    assert "7 days" in found["reason"]
    assert "outside of any trace" in (await trace(side, untraced.id))["reason"]
    assert await side.client.trace(uuid4()) is None


async def test_a_trace_of_many_spans_is_cut_off_at_its_end(side: Side) -> None:
    """And says so."""
    execution = run()
    side.show(execution)
    for _ in range(5):
        keep_spans(side, *["step 05"] * 500, task_id=execution.id)
    keep_spans(side, "request 01", task_id=execution.id)
    found = await trace(side, execution.id)
    assert (len(found["spans"]), found["truncated"], found["spans"][0]["name"]) == (2_000, True, "request 01")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_lines_are_told_in_their_order_page_by_page(side: Side, limit: int) -> None:
    """None twice and none left out, wherever a page ends; those of another task are not among them."""
    task_id = uuid4()
    keep_lines(side, task_id, "a", "b", "c")
    keep_lines(side, uuid4(), "other")
    keep_lines(side, task_id, "d")
    assert await events(side, task_id, limit=limit) == ["a", "b", "c", "d"]


async def test_lines_below_a_level_are_left_out(side: Side) -> None:
    """Also where one process has said both at once."""
    task_id = shown(side)
    keep_lines(side, task_id, "quiet")
    mixed = [line(str(task_id), "info"), line(str(task_id), "error", level="error"), line(str(task_id), "info")]
    side.telemetry.keep([], line_rows(mixed, "worker", unmasked))
    keep_lines(side, task_id, "warned", level="warning")
    assert await events(side, task_id, level="warning", limit=1) == ["error", "warned"]
    assert await events(side, task_id, level="critical") == []


async def test_lines_can_be_followed_by_the_cursor_of_the_last_one(side: Side) -> None:
    """What comes later comes after it."""
    task_id = shown(side)
    keep_lines(side, task_id, "a", "b")
    document = await side.client.logs(task_id, [])
    assert document is not None
    last = json.loads(document)["items"][-1]["cursor"]
    assert await events(side, task_id, after=last) == []
    keep_lines(side, task_id, "c")
    assert await events(side, task_id, after=last) == ["c"]


async def test_a_task_without_lines_has_none_and_an_unknown_one_is_unknown(side: Side) -> None:
    """The gateway looks into the log then."""
    execution = run()
    side.show(execution)
    assert await events(side, execution.id) == []
    assert await side.client.logs(uuid4(), []) is None


async def test_more_lines_than_are_read_at_once_are_all_told(side: Side) -> None:
    """Row after row."""
    task_id = uuid4()
    for number in range(250):
        keep_lines(side, task_id, str(number))
    assert await events(side, task_id, limit=240) == [str(number) for number in range(250)]


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", "-1.2"])
async def test_a_foreign_cursor_is_refused(request: pytest.FixtureRequest, cursor: str) -> None:
    """By the real one; the gateway lets none through."""
    async with KINDS["real"](request) as side:
        with pytest.raises(InvalidInput):
            await side.client.logs(uuid4(), [("after", cursor)])
