"""Reading tasks: through the status service, and past it when it is behind or away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.documents import task_document
from shared.domain.catalogue_events import CATALOGUE_ID
from shared.domain.events import Stamp
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.views import task_view
from shared.objects import MemoryObjectStore
from tests.builders import NOW, complete_next, in_phase, running, stamp, submitted
from tests.integration.gateway.stage import Stage


async def test_a_task_is_read_from_the_status_service(stage: Stage) -> None:
    """What it knows is answered as it says."""
    execution = running()
    stage.status.show(execution)
    answer = await stage.client.get(f"/api/tasks/{execution.id}")
    expected = task_document(task_view(execution), now=NOW, objects=MemoryObjectStore())
    assert (answer.status_code, answer.json()) == (200, msgspec.json.decode(msgspec.json.encode(expected)))


async def test_a_task_is_never_unknown_after_its_202(stage: Stage) -> None:
    """Before the projection knows it, the log answers, with the same fields."""
    task_id = await stage.accepted()
    fresh = await stage.client.get(f"/api/tasks/{task_id}")
    stage.status.show(await stage.execution(task_id))
    projected = await stage.client.get(f"/api/tasks/{task_id}")
    assert (fresh.status_code, fresh.json()) == (200, projected.json())
    assert f"/tasks/{task_id}" in stage.status.asked


async def test_a_projection_that_is_behind_ones_own_writes_is_passed_over(stage: Stage) -> None:
    """After a DELETE nobody reads that the task still waits."""
    task_id = await stage.accepted()
    stage.status.show(await stage.execution(task_id))
    await stage.client.delete(f"/api/tasks/{task_id}")
    task = (await stage.client.get(f"/api/tasks/{task_id}")).json()
    steps = (await stage.client.get(f"/api/tasks/{task_id}/steps")).json()["items"]
    assert task["state"] == "REVOKED"
    assert {step["state"] for step in steps} == {"cancelled"}


async def test_a_projection_that_has_caught_up_is_used_again(stage: Stage) -> None:
    """The log is asked only as long as it has to be."""
    task_id = await stage.accepted()
    execution = await stage.execution(task_id)
    execution.claim(stamp(), attempt=1, worker="executor@projected-only")
    stage.status.show(execution)
    assert (await stage.client.get(f"/api/tasks/{task_id}")).json()["worker"] == "executor@projected-only"


@pytest.mark.parametrize("phase", list(Phase))
async def test_without_the_status_service_a_task_in_any_phase_is_read_from_the_log(stage: Stage, phase: Phase) -> None:
    """The answer is the same as the status service would give."""
    execution = in_phase(phase)
    await stage.log.append(execution.collect_events())
    stage.status.show(execution)
    there = [(await stage.client.get(path)).json() for path in _paths(execution.id)]
    stage.status.away = True
    away = [(await stage.client.get(path)).json() for path in _paths(execution.id)]
    assert [_timeless(each) for each in away] == [_timeless(each) for each in there]


def _paths(task_id: object) -> list[str]:
    return [f"/api/tasks/{task_id}", f"/api/tasks/{task_id}/steps", f"/api/tasks/{task_id}/events"]


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on the moment of asking: the fake's clock stands still."""
    return {name: value for name, value in document.items() if name not in ("result", "result_expired", "result_error")}


async def test_a_list_without_the_status_service_says_what_still_works(stage: Stage) -> None:
    """Lists need the tables; the refusal names what does not."""
    stage.status.away = True
    response = await stage.client.get("/api/tasks")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert "Submitting, cancelling" in response.json()["detail"]


async def test_a_list_is_narrowed_and_paged(stage: Stage) -> None:
    """Conditions and cursors go through to the status service."""
    for number in range(5):
        labels = {"desk": "eu" if number % 2 else "us"}
        stage.status.show(submitted(at=stamp(number), labels=labels, user_id=f"user-{number}"))
    query = {"label": "desk:us", "since": "2026-03-02T14:30:00Z", "status": "queued", "limit": "2"}
    first = (await stage.client.get("/api/tasks", params=query)).json()
    second = (await stage.client.get("/api/tasks", params=query | {"cursor": first["next_cursor"]})).json()
    assert [item["user_id"] for item in first["items"]] == ["user-4", "user-2"]
    assert [item["user_id"] for item in second["items"]] == ["user-0"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("away", [False, True])
async def test_steps_are_paged_the_same_from_both_sources(stage: Stage, away: bool) -> None:
    """A cursor is the place of a step, whoever answers."""
    execution = running()
    complete_next(execution, stamp(2), value={"rows": 3})
    await stage.log.append(execution.collect_events())
    stage.status.show(execution)
    stage.status.away = away
    path = f"/api/tasks/{execution.id}/steps"
    first = (await stage.client.get(path, params={"limit": 3})).json()
    second = (await stage.client.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    rows = [(step["step"], step["symbol"], step["state"]) for step in first["items"] + second["items"]]
    assert rows == [
        ("load", None, "completed"),
        ("analyse", "AAPL", "running"),
        ("analyse", "MSFT", "pending"),
        ("decide", None, "pending"),
    ]
    assert (first["items"][0]["output"], second["next_cursor"]) == ({"rows": 3}, None)


async def test_events_are_the_history_of_a_task(stage: Stage) -> None:
    """Oldest first, each with who, when and under which trace; pages follow each other without a gap."""
    execution = running()
    complete_next(execution, stamp(2), value=1)
    await stage.log.append(execution.collect_events())
    path = f"/api/tasks/{execution.id}/events"
    first = (await stage.client.get(path, params={"limit": 2})).json()
    second = (await stage.client.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    events = first["items"] + second["items"]
    beyond = (await stage.client.get(path, params={"cursor": str(events[-1]["position"])})).json()
    assert [event["version"] for event in events] == [1, 2, 3]
    assert [event["type"] for event in events][1:] == ["execution.attempt_started", "execution.step_completed"]
    assert set(events[0]) == {"position", "stream", "version", "type", "at", "actor", "data", "trace_id"}
    assert events[0]["actor"] == "user:ada"
    assert (second["next_cursor"], beyond) == (None, {"items": [], "next_cursor": None})


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("part", ["", "/steps", "/events"])
@pytest.mark.parametrize("task_id", [str(uuid4()), str(CATALOGUE_ID), "not-a-uuid", "x" * 300])
async def test_what_is_no_task_is_not_found(stage: Stage, task_id: str, part: str, away: bool) -> None:
    """Unknown ids, ids of other streams and what is no id at all are 404, with and without the status service."""
    stage.status.away = away
    response = await stage.client.get(f"/api/tasks/{task_id}{part}")
    assert (response.status_code, response.json()["code"]) == (404, "task_not_found")


async def test_a_result_that_cannot_be_read_is_no_missing_task(stage: Stage) -> None:
    """A task whose result object has gone is answered: `result_error` says what to do."""
    execution = running()
    while execution.next_position() is not None:
        complete_next(execution, stamp(2))
    gone = MemoryObjectStore().put(b"{}", "application/json")
    now = Stamp(at=datetime.now(UTC), actor="executor:test")
    execution.succeed(now, attempt=1, result=Output(ref=gone))
    await stage.log.append(execution.collect_events())
    response = await stage.client.get(f"/api/tasks/{execution.id}")
    task = response.json()
    assert (response.status_code, task["state"], task["result"]) == (200, "SUCCESS", None)
    assert "is not in this store" in task["result_error"]
