from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.log.async_event_log import AsyncEventLog
from shared.telemetry import configure_telemetry
from shared.telemetry.process import TelemetryOptions
from tests.copies import Copies
from tests.integration.gateway.stage import KEYS, ROOT, Stage, publish, settings, staged, strategy


@pytest.fixture(scope="session", autouse=True)
def tracing() -> None:
    """A tracer, as the process has one."""
    configure_telemetry("gateway", TelemetryOptions(database_url="", is_kept=False))


@pytest.fixture
async def catalogue_url(migrated_database_url: str) -> str:
    """A database whose log holds a catalogue of one strategy."""
    async with AsyncEventLog(migrated_database_url) as log:
        await publish(log, strategy())
    return migrated_database_url


@pytest.fixture
async def stage(catalogue_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway in open mode."""
    async with staged(settings(catalogue_url, home=tmp_path)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_stage(migrated_copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A gateway in open mode for all tests of a module, none of which writes."""
    url = migrated_copies.take()
    async with AsyncEventLog(url) as log:
        await publish(log, strategy())
    async with staged(settings(url, home=tmp_path_factory.mktemp("home"))) as running:
        yield running
    migrated_copies.give_back(url)


@pytest.fixture
async def keyed(catalogue_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway with keys; its client is the admin unless a request says otherwise."""
    async with staged(settings(catalogue_url, home=tmp_path, api_keys=KEYS), key=ROOT) as running:
        yield running
