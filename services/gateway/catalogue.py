"""What the gateway knows of strategies: the newest catalogue in the log, kept in memory."""

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import structlog

from services.gateway.parameters import ParametersCheck
from shared.domain.catalogue import BrokenStrategy, StrategyDescription
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.errors import NotFound, Unavailable
from shared.log.async_event_log import AsyncEventLog
from shared.log.recorder import CHANNEL
from shared.log.runs import Recorded

AT_MOST_EVERY = timedelta(milliseconds=250)
"""Every append notifies; looking for a new catalogue no more often than this keeps that cheap."""
AT_LEAST_EVERY = timedelta(seconds=30)
FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=5)

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A strategy that can be run, and the check of its parameters."""

    description: StrategyDescription
    check: ParametersCheck


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One published catalogue; `position` is where it stands in the log, `retired` the ids with old definitions."""

    position: int
    strategies: Mapping[str, Strategy]
    broken: tuple[BrokenStrategy, ...]
    retired: frozenset[str] = frozenset()

    def strategy(self, strategy_id: str) -> Strategy:
        """Return a strategy by its id; raises NotFound, naming those with similar ids, or saying that it is retired."""
        try:
            return self.strategies[strategy_id]
        except KeyError:
            if strategy_id in self.retired:
                raise NotFound(
                    "strategy",
                    f"Strategy {strategy_id} is retired, without a definition for new runs; unfinished ones go on. "
                    "See GET /api/strategies for what there is, and what is broken.",
                ) from None
            near = difflib.get_close_matches(strategy_id, self.strategies, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See GET /api/strategies for what there is."
            raise NotFound("strategy", f"There is no strategy {strategy_id}. {hint}") from None


def snapshot(recorded: Recorded) -> Snapshot:
    """Return the catalogue in an event; a strategy whose parameters schema is unusable counts as broken."""
    published = recorded.event
    assert isinstance(published, CataloguePublished)
    strategies, broken = {}, list(published.broken)
    for description in published.strategies:
        try:
            check = ParametersCheck(description.parameters_schema)
        except ValueError as error:
            broken.append(BrokenStrategy(file=description.strategy_id, error=str(error)))
        else:
            strategies[description.strategy_id] = Strategy(description=description, check=check)
    return Snapshot(
        position=recorded.position,
        strategies=strategies,
        broken=tuple(broken),
        retired=frozenset(definition.strategy_id for definition in published.retired),
    )


class Catalogue:
    """The newest snapshot, followed by `follow` in a task of its own."""

    def __init__(self, log: AsyncEventLog, database_url: str) -> None:
        self._log = log
        self._database_url = database_url
        self._snapshot: Snapshot | None = None

    @property
    def latest(self) -> Snapshot | None:
        """Return the newest snapshot, None before any executor has published one."""
        return self._snapshot

    def require(self) -> Snapshot:
        """Return the newest snapshot; raises Unavailable while there is none."""
        if self._snapshot is None:
            raise Unavailable(
                "No executor has published its strategies yet: start one (blotter up does), or try again in a moment."
            )
        return self._snapshot

    async def refresh(self) -> None:
        """Read the log's newest catalogue if it is newer than ours. Raises Unavailable."""
        recorded = await self._log.latest(CATALOGUE_ID)
        if recorded is None or (self._snapshot and recorded.position <= self._snapshot.position):
            return
        self._snapshot = snapshot(recorded)
        logger.info("catalogue.loaded", strategies=len(self._snapshot.strategies), position=recorded.position)

    async def follow(self) -> None:
        """Keep the snapshot fresh until cancelled; connects again, ever more slowly, when PostgreSQL goes away."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    await self.refresh()
                    backoff = FIRST_BACKOFF
                    await self._listen(connection)
            except Exception as error:  # whatever it is, the next catalogue must not be missed
                logger.warning("catalogue.disconnected", error=repr(error), again_in=str(backoff))
                await asyncio.sleep(backoff.total_seconds())
                backoff = min(backoff * 2, LONGEST_BACKOFF)

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            async for _ in connection.notifies(timeout=AT_LEAST_EVERY.total_seconds(), stop_after=1):
                pass
            await asyncio.sleep(AT_MOST_EVERY.total_seconds())
            await self.refresh()
