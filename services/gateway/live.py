"""The log as it grows, for everybody who listens: read once, and handed to all.

Those who keep pace are served from memory (`RecentChanges`), which all of them share. Who is slower than that, or asks
for the past, reads the log itself by position until the memory reaches back far enough. So nothing is skipped, and no
client makes the gateway keep anything for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import psycopg
import structlog

from services.gateway.changes import Change, Pushed, change
from services.gateway.event_feed import not_reached
from services.gateway.event_types import METRICS
from services.gateway.owners import Owners
from services.gateway.recent_changes import RecentChanges
from services.gateway.recent_progress import RecentProgress
from shared.domain.errors import Unavailable
from shared.log.async_event_log import AsyncEventLog
from shared.log.recorder import CHANNEL

BATCH = 100
"""Changes handed over at once. It bounds what a client that does not read holds in memory."""

READ_BATCH = 500
PACE = timedelta(milliseconds=20)
"""News after a pause is passed on at once; a stream of it in batches, since each append notifies."""

LOOK_AGAIN = timedelta(seconds=5)
"""A connection that is dead without saying so delays news by this, and loses none."""

ASK_AGAIN = timedelta(seconds=1)
CATCHING_UP = 2
"""Clients that read the log at once: the connections are for requests as well."""

HEARTBEAT = timedelta(seconds=15)
FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=2)

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Interest:
    """Which changes a client wants; all conditions must hold, and what is None or empty does not narrow."""

    topics: tuple[str, ...] = ()
    task_id: UUID | None = None
    user_id: str | None = None

    @property
    def metrics(self) -> bool:
        """Tell whether metrics are asked for: by name, and not of a task or a user."""
        return METRICS in self.topics and self.task_id is None and self.user_id is None

    def covers(self, pushed: Pushed) -> bool:
        """Tell whether type and task are right; whose it is, is another question, and metrics are nobody's."""
        if pushed.type == METRICS:
            return self.metrics
        return (not self.topics or pushed.type in self.topics) and self.task_id in (None, pushed.task_id)


class Live:
    """Changes as they come. `follow` runs beside the requests; it reads the log only while somebody listens."""

    def __init__(self, log: AsyncEventLog, database_url: str) -> None:
        self._log = log
        self._database_url = database_url
        self._owners = Owners(log)
        self._recent: RecentChanges | None = None
        self._progress = RecentProgress()
        self._tells_soon = False
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._turns = asyncio.Semaphore(CATCHING_UP)
        self.metrics_wanted = asyncio.Event()
        self._listeners = self._metrics_listeners = 0
        self._closed = False

    async def start(self, after: int | None) -> int:
        """Return the position after which to listen: `after`, or the newest one.

        Raises InvalidInput for one that the log has not reached, and Unavailable.
        """
        head = await self._log.head()
        if after is not None and after > head:
            raise not_reached(after, head)
        return head if after is None else after

    async def batches(
        self, interest: Interest, after: int, *, heartbeat: timedelta = HEARTBEAT
    ) -> AsyncGenerator[Sequence[Pushed]]:
        """Yield the changes after a position that `interest` covers, in order and each once, until `close`.

        Who has heard all of them hears how far steps are as well. An empty batch tells that there was nothing for the
        time of `heartbeat`. It never raises for a log that is away: it goes on from where it was when the log is back.
        """
        clock = asyncio.get_running_loop()
        position, due_at = after, clock.time() + heartbeat.total_seconds()
        heard = self._progress.number
        with self._listening(interest):
            while not self._closed:
                news, before, patience = self._news, position, due_at - clock.time()
                mine: Sequence[Pushed] = ()
                try:
                    changes, reached = await self._next(interest, position)
                    pushed: Sequence[Pushed] = changes
                    if reached == position:
                        pushed, heard = self._progress.after(heard), self._progress.number
                    mine, position = await self._wanted_of(interest, pushed), reached
                except Unavailable:
                    patience = min(patience, ASK_AGAIN.total_seconds())
                if mine or clock.time() >= due_at:
                    yield mine
                    due_at = clock.time() + heartbeat.total_seconds()
                elif position == before:
                    await _either(news, patience)

    @property
    def is_listened(self) -> bool:
        """Tell whether anybody listens."""
        return self._listeners > 0

    async def listened(self) -> None:
        """Wait until somebody listens."""
        await self._wanted.wait()

    def hear(self, report: Pushed) -> None:
        """Pass on how far a step is, to those who have heard all that the log says."""
        self._progress.add(report)
        if not self._tells_soon:
            self._tells_soon = True
            asyncio.get_running_loop().call_later(PACE.total_seconds(), self._tell)

    def close(self) -> None:
        """End all that listen, now and later: the gateway stops."""
        self._closed = True
        self._tell()

    async def follow(self) -> None:
        """Read the log as it grows, until cancelled; connects again, ever more slowly, when PostgreSQL goes away."""
        backoff = FIRST_BACKOFF
        while True:
            if not self._listeners:
                self._recent = None  # the log is not read, so that there would be a hole
                await self.listened()
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    backoff = FIRST_BACKOFF
                    await self._read_on(connection)
            except Exception as error:  # whatever it is, nobody who listens must be left without news
                logger.warning("live.disconnected", error=repr(error), again_in=str(backoff))
                await asyncio.sleep(backoff.total_seconds())
                backoff = min(backoff * 2, LONGEST_BACKOFF)

    async def _read_on(self, connection: psycopg.AsyncConnection) -> None:
        if self._recent is None:
            self._recent = RecentChanges(await self._log.head())
            self._tell()
        while self._listeners:
            recorded = await self._log.read(self._recent.position, limit=READ_BATCH)
            if recorded:
                self._take_in([change(each) for each in recorded])
                await asyncio.sleep(PACE.total_seconds())
            if len(recorded) < READ_BATCH:
                await _notified(connection, LOOK_AGAIN if not recorded else timedelta())

    def _take_in(self, changes: Sequence[Change]) -> None:
        assert self._recent is not None
        self._recent.add(changes)
        for each in changes:
            self._progress.forget(each.subject)
        self._tell()

    @contextmanager
    def _listening(self, interest: Interest) -> Iterator[None]:
        self._listeners += 1
        self._metrics_listeners += interest.metrics
        if interest.metrics:
            self.metrics_wanted.set()
        self._wanted.set()
        try:
            yield
        finally:
            self._listeners -= 1
            self._metrics_listeners -= interest.metrics
            if not self._metrics_listeners:
                self.metrics_wanted.clear()
            if not self._listeners:
                self._wanted.clear()

    async def _next(self, interest: Interest, position: int) -> tuple[Sequence[Change], int]:
        """Return the next changes, wanted or not, and the position up to which there are no others of interest."""
        recent = self._recent
        if recent is None:
            return (), position
        if position >= recent.floor:
            changes = recent.after(position, BATCH)
            return changes, changes[-1].position if changes else position
        # What is read may go beyond the memory's end, where a stage may have opened between two statements.
        until = recent.position
        async with self._turns:
            if interest.task_id is not None:
                recorded = await self._log.history(interest.task_id, after=position, limit=BATCH)
            else:
                recorded = await self._log.read(position, limit=BATCH, topics=interest.topics)
        reached = until if len(recorded) < BATCH else min(until, recorded[-1].position)
        return [change(each) for each in recorded if each.position <= reached], reached

    async def _wanted_of(self, interest: Interest, pushed: Sequence[Pushed]) -> list[Pushed]:
        covered = [each for each in pushed if interest.covers(each)]
        if interest.user_id is None or not covered:
            return covered
        owners = await self._owners.of({each.subject for each in covered})
        return [each for each in covered if owners[each.subject] == interest.user_id]

    def _tell(self) -> None:
        self._tells_soon = False
        told, self._news = self._news, asyncio.Event()
        told.set()


async def _either(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, not longer than `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await news.wait()


async def _notified(connection: psycopg.AsyncConnection, patience: timedelta) -> None:
    """Wait for an append, not longer than `patience`, and pass over the other notices that have come."""
    async for _ in connection.notifies(timeout=patience.total_seconds(), stop_after=1):
        pass
    async for _ in connection.notifies(timeout=0):
        pass
