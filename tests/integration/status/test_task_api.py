"""One task by the query API: document, reasons, progress, steps and events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import redis

from services.status.settings import StatusSettings
from shared.documents import task_document
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output, OutputKind
from shared.domain.phases import CeleryState, Phase
from shared.domain.views import task_view
from shared.log.event_log import EventLog
from shared.objects.local import LocalObjectStore
from shared.result_backend import ResultMeta, encode_meta, result_key
from tests.builders import (
    complete_all,
    complete_next,
    failure,
    in_phase,
    running,
    stamp,
)

Project = Callable[[], None]


@pytest.fixture
def live(settings: StatusSettings) -> Iterator[redis.Redis]:
    """The Redis that workers tell their progress to."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


async def get(api: httpx.AsyncClient, run: WorkflowExecution, rest: str = "") -> Any:
    """The answer for one task, which must be 200."""
    response = await api.get(f"/tasks/{run.id}{rest}")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CANCELLING, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
async def test_a_task_is_the_document_of_its_fold(
    api: httpx.AsyncClient, log: EventLog, project: Project, settings: StatusSettings, phase: Phase
) -> None:
    """The row gives the same document, to the byte, as the run in memory; it bears the stream's version."""
    run = in_phase(phase)
    log.save_execution(run)
    project()
    objects = LocalObjectStore(settings.objects_folder)
    expected = task_document(task_view(run), now=datetime.now(UTC), objects=objects)
    assert await get(api, run) == msgspec.json.decode(msgspec.json.encode(expected))
    assert expected["version"] == run.version


async def test_an_unknown_task_is_404_everywhere(api: httpx.AsyncClient) -> None:
    """The task, its steps and its events say the same."""
    for rest in ("", "/steps", "/events"):
        response = await api.get(f"/tasks/{uuid4()}{rest}")
        assert (response.status_code, response.json()["code"]) == (404, "task_not_found")
        assert response.headers["content-type"] == "application/problem+json"


async def test_the_catalogue_is_no_task(api: httpx.AsyncClient, log: EventLog) -> None:
    """Its stream is in the same log, and not to be had as a task's history."""
    at = stamp()
    log.append(
        [
            CataloguePublished(
                originator_id=CATALOGUE_ID,
                originator_version=1,
                at=at.at,
                actor=at.actor,
                append_id=at.append_id,
                strategies=(),
            )
        ]
    )
    assert (await api.get(f"/tasks/{CATALOGUE_ID}/events")).status_code == 404


async def test_a_result_leaves_after_its_time_to_live(api: httpx.AsyncClient, log: EventLog, project: Project) -> None:
    """One second after the end of a run with a time to live of one second, only `result` is gone."""
    ended = stamp()
    fresh, old = running(), running(result_ttl_seconds=1.0)
    complete_all(fresh, Stamp(at=datetime.now(UTC), actor="executor:w"))
    complete_all(old, ended)
    log.save_execution(fresh)
    log.save_execution(old)
    project()
    kept, expired = await get(api, fresh), await get(api, old)
    assert (kept["result"]["decisions"], kept["result_expired"]) == ([], False)
    assert (expired["result"], expired["result_expired"], expired["state"]) == (None, True, "SUCCESS")


async def test_a_large_result_comes_from_the_object_store(
    api: httpx.AsyncClient, log: EventLog, project: Project, settings: StatusSettings
) -> None:
    """A result by reference is answered as if it stood in the log."""
    value = {"decisions": [], "output": "x" * 100_000}
    ref = LocalObjectStore(settings.objects_folder).put(msgspec.json.encode(value), "application/json")
    run = running(steps=())
    run.succeed(Stamp(at=datetime.now(UTC), actor="w"), attempt=1, result=Output(kind=OutputKind.JSON, ref=ref))
    log.save_execution(run)
    project()
    assert (await get(api, run))["result"] == value


def said(run: WorkflowExecution, attempt: int, **changes: Any) -> bytes:
    """What a worker tells the result backend of a run."""
    progress = {"step_progress": {"done": 3, "total": 9, "message": "scanning"}}
    fields: dict[str, Any] = {"task_id": str(run.id), "status": CeleryState.STARTED, "result": progress, "sequence": 1}
    return encode_meta(ResultMeta(attempt=attempt, **(fields | changes)))


async def test_a_running_task_shows_progress_within_its_step(
    api: httpx.AsyncClient, log: EventLog, project: Project, live: redis.Redis
) -> None:
    """What the running attempt said is shown; what an earlier one said is not, nor what is no progress."""
    run = running()
    log.save_execution(run)
    project()
    assert "step_progress" not in (await get(api, run))["progress"]
    live.set(result_key(str(run.id)), said(run, attempt=1))
    assert (await get(api, run))["progress"]["step_progress"] == {"done": 3, "total": 9, "message": "scanning"}
    for other in (
        said(run, attempt=0),
        said(run, attempt=1, status=CeleryState.RETRY),
        said(run, attempt=1, result=["x"]),
        said(run, attempt=1, result={"step_progress": 5}),
        b'{"status": "SUCCESS"}',
        b"not json",
    ):
        live.set(result_key(str(run.id)), other)
        assert "step_progress" not in (await get(api, run))["progress"]


async def test_steps_come_in_order_page_by_page(api: httpx.AsyncClient, log: EventLog, project: Project) -> None:
    """Pages of two give each row once; outputs are plain values, and the next step runs."""
    run = running()
    complete_next(run, stamp(2), {"rows": 7})
    complete_next(run, stamp(3))
    log.save_execution(run)
    project()
    first = await get(api, run, "/steps?limit=2")
    second = await get(api, run, f"/steps?limit=2&cursor={first['next_cursor']}")
    assert second["next_cursor"] is None
    rows = first["items"] + second["items"]
    assert [(row["step"], row["symbol"], row["state"]) for row in rows] == [
        ("load", None, "completed"),
        ("analyse", "AAPL", "completed"),
        ("analyse", "MSFT", "running"),
        ("decide", None, "pending"),
    ]
    assert rows[0]["output"] == {"rows": 7}
    assert rows[2]["started_at"] == "2026-03-02T14:30:03Z"


async def test_a_failed_step_bears_its_error(api: httpx.AsyncClient, log: EventLog, project: Project) -> None:
    """The row of the step that ended the run shows type and message."""
    run = running()
    run.fail(stamp(2), attempt=1, failure=failure(type="BadData"), step="load", started_at=stamp(1).at)
    log.save_execution(run)
    project()
    row = (await get(api, run, "/steps"))["items"][0]
    assert (row["state"], row["error"]["type"], row["duration_seconds"]) == ("failed", "BadData", 1.0)


async def test_events_come_from_the_log_before_they_are_projected(api: httpx.AsyncClient, log: EventLog) -> None:
    """History is there at once, oldest first, and pages by version; a cursor beyond the end is an empty page."""
    run = running()
    complete_next(run, stamp(2))
    positions = log.save_execution(run)
    first = await get(api, run, "/events?limit=2")
    second = await get(api, run, f"/events?limit=2&cursor={first['next_cursor']}")
    items = first["items"] + second["items"]
    assert [item["position"] for item in items] == positions
    assert [item["type"] for item in items] == [
        "execution.submitted",
        "execution.attempt_started",
        "execution.step_completed",
    ]
    assert items[0]["data"]["strategy_id"] == "sma-crossover"
    assert await get(api, run, "/events?cursor=99") == {"items": [], "next_cursor": None}


async def test_a_result_whose_object_is_gone_is_said_to_be_gone(
    api: httpx.AsyncClient, log: EventLog, project: Project, settings: StatusSettings
) -> None:
    """The rest of the task is still answered, alone and in lists, and `result_error` tells what to do."""
    store = LocalObjectStore(settings.objects_folder)
    ref = store.put(b'{"decisions": []}', "application/json")
    run = running(steps=())
    run.succeed(Stamp(at=datetime.now(UTC), actor="w"), attempt=1, result=Output(ref=ref))
    log.save_execution(run)
    project()
    (store.root / ref.sha256[:2] / ref.sha256[2:4] / ref.sha256).unlink()
    document = await get(api, run)
    assert document["result"] is None
    assert "is not in this store" in document["result_error"]
    listed = (await api.get("/tasks")).json()["items"]
    assert [task["state"] for task in listed] == ["SUCCESS"]


def test_the_builders_time_is_past() -> None:
    """The tests above rely on it: a run of builders ended more than its time to live ago."""
    assert stamp().at < datetime.now(UTC) - timedelta(days=2)
