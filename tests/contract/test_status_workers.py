"""What the gateway relies on in the status service of workers: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shared.domain.workers import WorkerState
from shared.heartbeats import ActiveRun
from tests.contract.status_services import KINDS, Side
from tests.heartbeats import heartbeat


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_without_workers_the_list_is_empty(side: Side) -> None:
    """An answer, not an error."""
    assert await side.client.workers() == []


async def test_a_worker_is_told_to_the_letter(side: Side) -> None:
    """With the task of each taken slot, times to the microsecond, and what it uses."""
    task_id = uuid4()
    branches = tuple(ActiveRun(task_id=task_id, attempt=1, branch_id=uuid4()) for _ in range(2))
    side.show_worker(heartbeat("a@here", active=branches))
    (item,) = (await side.get("/workers")).json()["items"]
    assert item == {
        "name": "a@here",
        "host": "here",
        "pid": 1,
        "pool": "prefork",
        "concurrency": 2,
        "queues": ["high", "normal"],
        "state": "online",
        "active": [str(task_id)] * 2,
        "processed": 7,
        "cpu_percent": 12.5,
        "rss_bytes": 2 << 20,
        "uss_bytes": 1 << 20,
        "started_at": "2026-03-02T14:30:00Z",
        "last_heartbeat_at": "2026-03-02T14:30:09.125000Z",
    }


async def test_workers_are_listed_by_name_each_in_its_state(side: Side) -> None:
    """Those that are gone too, for a while: the last one fell silent long ago."""
    side.show_worker(heartbeat("d"))
    side.show_worker(heartbeat("c", left=True), alive=False)
    side.show_worker(heartbeat("b", draining=True, queues=()))
    side.show_worker(heartbeat("a", at=datetime.now(UTC)), alive=False)
    side.show_worker(heartbeat("e"), alive=False)
    assert [(worker.name, worker.state) for worker in await side.client.workers()] == [
        ("a", WorkerState.UNRESPONSIVE),
        ("b", WorkerState.DRAINING),
        ("c", WorkerState.OFFLINE),
        ("d", WorkerState.ONLINE),
        ("e", WorkerState.OFFLINE),
    ]
