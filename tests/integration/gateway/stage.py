"""A gateway on a real log, with a status service that tests can stop, hold back and show things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from shared.domain.catalogue import BrokenStrategy, RetiredDefinition, StrategyDescription
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.execution import WorkflowExecution
from shared.log.async_event_log import AsyncEventLog
from tests.builders import PLAN, stamp
from tests.fake_status import FakeStatus
from tests.webhook_builders import KEY

ADA = "ada-key-0123456789"
BOB = "bob-key-0123456789"
VERA = "vera-key-0123456789"
ROOT = "root-key-0123456789"
KEYS = f"ada:trader:{ADA},bob:trader:{BOB},vera:viewer:{VERA},root:admin:{ROOT}"
PARAMETERS = {
    "type": "object",
    "properties": {
        "fast": {"type": "integer", "minimum": 2},
        "slow": {"type": "integer", "minimum": 3},
        "as_of": {"type": "string", "format": "date"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One running gateway and what is around it."""

    app: FastAPI
    client: httpx.AsyncClient
    log: AsyncEventLog
    status: FakeStatus

    async def submit(self, **changes: Any) -> httpx.Response:
        """Post a task that is right but for `changes`."""
        return await self.client.post("/api/tasks", json=task(**changes))

    async def accepted(self, **changes: Any) -> str:
        """Post a task and return its id."""
        response = await self.submit(**changes)
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    async def execution(self, task_id: str) -> WorkflowExecution:
        """Read a task from the log."""
        return await self.log.execution(UUID(task_id))

    async def knows(self, strategy_id: str) -> None:
        """Wait until the gateway has read a catalogue with this strategy."""
        async with asyncio.timeout(5):
            while (await self.client.get(f"/api/strategies/{strategy_id}")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def runs(self) -> int:
        """Count the tasks in the log."""
        return len(await self.log.read(0, limit=100_000, topics=["execution.submitted"]))


def task(**changes: Any) -> dict[str, Any]:
    """A body that is right but for `changes`."""
    return {"strategy_id": "sma-crossover", "symbols": ["AAPL", "MSFT"], **changes}


def as_user(key: str) -> dict[str, str]:
    """The header of a caller."""
    return {"Authorization": f"Bearer {key}"}


def strategy(**changes: Any) -> StrategyDescription:
    """A crossover strategy as an executor describes it."""
    description: dict[str, Any] = {
        "strategy_id": "sma-crossover",
        "title": "Moving-average crossover",
        "description": "Buys when the fast mean crosses above the slow one.",
        "steps": PLAN,
        "parameters_schema": PARAMETERS,
        "parameters_default": {"fast": 20, "slow": 50},
        "definition_hash": "1" * 64,
        "max_retries": 2,
        "timeout_seconds": 600.0,
        "retry_delay_seconds": 0.5,
    }
    return StrategyDescription(**(description | changes))


async def publish(
    log: AsyncEventLog,
    *strategies: StrategyDescription,
    broken: tuple[BrokenStrategy, ...] = (),
    retired: tuple[RetiredDefinition, ...] = (),
) -> None:
    """Append a catalogue, as the dispatcher does."""
    latest = await log.latest(CATALOGUE_ID)
    version = latest.event.originator_version + 1 if latest else 1
    made = stamp(actor="executor:dispatcher")
    await log.append(
        [
            CataloguePublished(
                originator_id=CATALOGUE_ID,
                originator_version=version,
                at=made.at,
                actor=made.actor,
                append_id=made.append_id,
                strategies=strategies,
                broken=broken,
                retired=retired,
            )
        ]
    )


def settings(database_url: str, **changes: Any) -> GatewaySettings:
    """Settings for a gateway on this database, whatever the environment of the test run says."""
    given = {"api_keys": "", "id_secret": None, "host": "127.0.0.1", "log_level": "WARNING", "secrets_key": KEY}
    return GatewaySettings(database_url=database_url, **(given | changes))


@asynccontextmanager
async def staged(configuration: GatewaySettings, *, key: str | None = None) -> AsyncIterator[Stage]:
    """Run a gateway in this process; `key` goes with every request of its client."""
    status = FakeStatus()
    app = create_app(configuration, status_transport=status.transport)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = as_user(key) if key else {}
    async with (
        AsyncEventLog(configuration.database_url) as log,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client,
    ):
        yield Stage(app=app, client=client, log=log, status=status)
