"""Schedules as clients write them, and as the log has them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import Overlap
from shared.domain.schedule_state import ScheduleState
from tests.builders import WORKER, complete_all, stamp
from tests.integration.gateway.stage import Stage, as_user
from tests.schedule_builders import schedule as built

PATH = "/api/schedules"


def schedule(**changes: Any) -> dict[str, Any]:
    """A body that is right but for `changes`."""
    body = {"name": "hourly", "strategy_id": "sma-crossover", "symbols": ["AAPL", "MSFT"], "when": {"cron": "@hourly"}}
    return body | changes


async def create(stage: Stage, *, key: str | None = None, user: str | None = None, **changes: Any) -> httpx.Response:
    """Post a schedule that is right but for `changes`."""
    headers = {"Idempotency-Key": key} if key else {}
    return await stage.client.post(PATH, json=schedule(**changes), headers=headers | (as_user(user) if user else {}))


async def created(stage: Stage, **changes: Any) -> dict[str, Any]:
    """Post a schedule, and return its document."""
    response = await create(stage, **changes)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


async def stored(stage: Stage, **changes: Any) -> Schedule:
    """Let the log know a schedule of ada's that the gateway has not checked."""
    found = built(**changes)
    await stage.log.append(found.collect_events())
    return found


async def state(stage: Stage, schedule_id: str) -> ScheduleState:
    """Read a schedule from the log."""
    return (await stage.log.schedule(UUID(schedule_id))).state


async def events(stage: Stage, schedule_id: str) -> list[Event]:
    """Read what has happened to a schedule."""
    return [recorded.event for recorded in await stage.log.streams([UUID(schedule_id)])]


async def change(stage: Stage, schedule_id: str, user: str | None = None, **fields: Any) -> httpx.Response:
    """Change some fields of a schedule."""
    return await stage.client.patch(f"{PATH}/{schedule_id}", json=fields, headers=as_user(user) if user else {})


async def trigger(
    stage: Stage, schedule_id: str, overlap: Overlap | None = None, *, key: str | None = None, user: str | None = None
) -> httpx.Response:
    """Fire a schedule now."""
    headers = ({"Idempotency-Key": key} if key else {}) | (as_user(user) if user else {})
    body = {"json": {"overlap": overlap}} if overlap else {}
    return await stage.client.post(f"{PATH}/{schedule_id}/trigger", headers=headers, **body)  # type: ignore[arg-type]


async def triggered(stage: Stage, schedule_id: str, overlap: Overlap | None = None) -> WorkflowExecution:
    """Fire a schedule now, and read its run from the log."""
    response = await trigger(stage, schedule_id, overlap)
    assert response.status_code == 202, response.text
    return await stage.execution(response.json()["task_id"])


async def succeed(stage: Stage, run: WorkflowExecution) -> None:
    """Have a worker complete a run."""
    run.claim(stamp(), attempt=run.attempts + 1, worker=WORKER)
    complete_all(run)
    await stage.log.save_execution(run)
