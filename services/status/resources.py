"""What the query API holds open while it runs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from fastapi.concurrency import run_in_threadpool
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.status.database import create_engine
from services.status.live_progress import LiveProgress
from services.status.progress_reports import ProgressReports
from services.status.quiet_redis import QuietRedis
from services.status.settings import StatusSettings
from services.status.workers import Heartbeats
from shared.domain.errors import Unavailable
from shared.log.async_event_log import AsyncEventLog
from shared.objects import ObjectStore, open_store

CONNECTIONS = 8
REDIS_TIMEOUT_SECONDS = 1.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Tables:
    """The tables, read in threads: SQLAlchemy's asyncio needs greenlet, which nothing else here does."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    async def ask(self, query: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `query` returns for a connection and these arguments; raises Unavailable."""

        def run() -> _T:
            with self._engine.connect() as connection:
                return query(connection, *args, **kwargs)

        try:
            return await run_in_threadpool(run)
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise Unavailable("The status tables do not answer; try again in a moment.") from error

    async def ask_at_once(
        self, query: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what `query` returns, all of whose statements see the tables as the first one does.

        Raises Unavailable.
        """

        def of_one_moment(connection: sa.Connection) -> _T:
            connection.execution_options(isolation_level="REPEATABLE READ")
            return query(connection, *args, **kwargs)

        return await self.ask(of_one_moment)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """One of each for the whole process."""

    tables: Tables
    log: AsyncEventLog
    redis: Redis
    quiet_redis: QuietRedis
    objects: ObjectStore
    live_progress: LiveProgress
    progress_reports: ProgressReports
    heartbeats: Heartbeats
    telemetry_retention: timedelta


@asynccontextmanager
async def open_resources(settings: StatusSettings) -> AsyncIterator[Resources]:
    """Open what the API needs and close it at the end; nothing has to be reachable yet."""
    engine = create_engine(settings.sqlalchemy_url, pool_size=CONNECTIONS)
    redis = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        # A query does not wait for Redis: it goes on without.
        retry=Retry(NoBackoff(), 1),
    )
    quiet = QuietRedis(redis)
    try:
        async with AsyncEventLog(
            settings.database_url, pool_size=CONNECTIONS, open_store=partial(open_store, settings)
        ) as log:
            yield Resources(
                tables=Tables(engine),
                log=log,
                redis=redis,
                quiet_redis=quiet,
                objects=open_store(settings),
                live_progress=LiveProgress(quiet),
                progress_reports=ProgressReports(redis),
                heartbeats=Heartbeats(quiet),
                telemetry_retention=timedelta(seconds=settings.telemetry_retention_seconds),
            )
    finally:
        await redis.aclose()
        engine.dispose()
