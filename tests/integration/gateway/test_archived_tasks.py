"""Tasks whose history is in an archive, by the public API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.outputs import Output
from tests.builders import complete_all, complete_next, outcome, running, stamp, submitted, with_order
from tests.integration.gateway.stage import Stage, task
from tests.integration.log.archive_shelf import Shelf, shelf

KEPT = b"symbol,close\nMSFT,24.68\n"


@pytest.fixture
def desk(stage: Stage, migrated_database_url: str, tmp_path: Path) -> Iterator[Shelf]:
    """The log and the object store of the gateway."""
    with shelf(migrated_database_url, tmp_path) as desk:
        yield desk


def traded(desk: Shelf) -> WorkflowExecution:
    """Record a run that has traded, and kept something."""
    run = running()
    run.complete_step(
        stamp(2),
        attempt=1,
        step="load",
        symbol=None,
        output=Output(inline=None),
        started_at=stamp(1).at,
        artifacts=(Artifact(name="signals.csv", ref=desk.store.put(KEPT, "text/csv")),),
    )
    for _ in range(2):
        complete_next(run, stamp(3))
    with_order(run, f"{run.id}/1", stamp(4))
    run.settle_order(stamp(5), attempt=1, client_order_id=f"{run.id}/1", outcome=outcome(state="filled"))
    complete_all(run)
    desk.log.save_execution(run)
    return run


async def test_all_that_is_asked_by_a_tasks_id_is_answered_as_before(stage: Stage, desk: Shelf) -> None:
    """The task now and then, its history page after page, steps, orders and artifacts; and the log itself."""
    run = traded(desk)
    desk.young()
    of_task = [
        *("", "?as_of=3", "/events", "/events?limit=2", "/events?limit=2&cursor=2", "/steps", "/orders"),
        *("/artifacts", "/artifacts/signals.csv"),
    ]
    paths = [f"/api/tasks/{run.id}{path}" for path in of_task] + ["/api/events?limit=3", "/api/events?after=2&limit=5"]

    async def answers() -> list[Any]:
        found = [await stage.client.get(path) for path in paths]
        return [(answer.status_code, answer.content) for answer in found]

    before = await answers()
    assert desk.kind().run(dry_run=False)["runs"] == 1
    assert {status for status, _ in before} == {200}
    assert await answers() == before


async def test_an_archived_task_does_not_go_on_and_can_be_run_once_more(stage: Stage, desk: Shelf) -> None:
    """A retry is refused, and says what to do instead; a cancellation is refused as that of any ended task."""
    run = submitted()
    run.request_cancel(stamp(1), reason="enough")
    desk.log.save_execution(run)
    desk.archive()
    refused = await stage.client.post(f"/api/tasks/{run.id}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "task_archived")
    assert f"/api/tasks/{run.id}/rerun" in refused.json()["detail"]
    again = await stage.client.delete(f"/api/tasks/{run.id}")
    assert (again.status_code, again.json()["state"]) == (200, "REVOKED")
    rerun = await stage.client.post(f"/api/tasks/{run.id}/rerun", json={})
    assert rerun.status_code == 202, rerun.text
    assert (await stage.client.get(f"/api/tasks/{run.id}")).json()["state"] == "REVOKED"


async def test_a_key_whose_task_is_archived_still_answers_that_task(stage: Stage, desk: Shelf) -> None:
    """The same key and body a year later make no second task; another body is refused."""
    headers = {"Idempotency-Key": "a-year-ago"}
    first = await stage.client.post("/api/tasks", json=task(), headers=headers)
    task_id = first.json()["task_id"]
    await stage.client.delete(f"/api/tasks/{task_id}")
    desk.young()
    later = stamp(0).at.replace(year=stamp(0).at.year + 10)
    assert desk.kind(later).run(dry_run=False)["runs"] >= 1
    again = await stage.client.post("/api/tasks", json=task(), headers=headers)
    assert (again.status_code, again.json()["task_id"]) == (200, task_id)
    other = await stage.client.post("/api/tasks", json=task(priority="high"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
