"""Fixtures of the status service: its engine and the log, on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa

from services.status.app import create_app
from services.status.database import create_engine
from services.status.projector import Projector
from services.status.settings import StatusSettings
from shared.log.event_log import EventLog


@pytest.fixture
def settings(migrated_database_url: str, redis_url: str, tmp_path: object) -> StatusSettings:
    """Settings that name this test's database and Redis."""
    return StatusSettings(database_url=migrated_database_url, redis_url=redis_url, home=tmp_path)


@pytest.fixture
def engine(settings: StatusSettings) -> Iterator[sa.Engine]:
    """An engine on the tables."""
    engine = create_engine(settings.sqlalchemy_url)
    yield engine
    engine.dispose()


@pytest.fixture
def log(settings: StatusSettings) -> Iterator[EventLog]:
    """The log that projections are made of."""
    log = EventLog(settings.database_url)
    yield log
    log.close()


@pytest.fixture
def projector(log: EventLog, engine: sa.Engine) -> Projector:
    """A projector that has not started yet."""
    return Projector(log, engine)


@pytest.fixture
async def api(settings: StatusSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the query API, which runs in this process."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield client


@pytest.fixture
def project(projector: Projector, log: EventLog) -> Callable[[], None]:
    """Bring the tables up to date with the log."""

    def catch_up() -> None:
        position = projector.start()
        while recorded := log.read(position, topics=projector.topics):
            projector.process(recorded)
            position = recorded[-1].position

    return catch_up
