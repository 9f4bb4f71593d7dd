"""Delivers what is due: targets side by side, none of which waits for another, and none gets too much at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog

from services.status.notifier import records
from services.status.notifier.audience import WEBHOOK
from services.status.notifier.backoff import next_try
from services.status.notifier.posting import Outcome
from services.status.notifier.records import Due
from services.status.notifier.sending import NotWanted, Sender

AT_ONCE = 4
"""Deliveries that are under way to one target."""
IN_ALL = 64
"""Deliveries that are under way."""
LOOK_EVERY = timedelta(seconds=1)
"""How late a try may be that is due by the clock."""
FORGET_EVERY = timedelta(minutes=10)

logger = structlog.get_logger()

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the time; several notifiers have theirs from clocks that are right to the second."""
    return datetime.now(UTC)


class Delivering:
    """The deliveries that this process has in hand. Several processes share what is due."""

    def __init__(
        self,
        engine: sa.Engine,
        sender: Sender,
        *,
        lease: timedelta,
        now: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._sender = sender
        self._lease = lease
        self._now = now
        self._chance = chance
        self._in_hand: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._forget_at = datetime.min.replace(tzinfo=UTC)

    def wake(self) -> None:
        """Look at once: something is due."""
        self._news.set()

    @property
    def under_way(self) -> int:
        """Return how many deliveries this process has in hand."""
        return len(self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, and end what is under way then."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._news.clear()
                try:
                    await self._look()
                except sa.exc.DBAPIError as error:
                    logger.warning("notifier.blind", error=str(error.orig).partition("\n")[0])
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait(
                    (stopping, news), timeout=LOOK_EVERY.total_seconds(), return_when=asyncio.FIRST_COMPLETED
                )
                news.cancel()
        finally:
            stopping.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def _look(self) -> None:
        now = self._now()
        for target in await self._in_transaction(records.targets_due, now):
            room = min(AT_ONCE - self._in_hand[target], IN_ALL - len(self._tasks))
            if room > 0:
                for due in await self._in_transaction(records.take, target, most=room, now=now, lease=self._lease):
                    self._begin(due)
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY
            while await self._in_transaction(records.forget, now):
                pass

    def _begin(self, due: Due) -> None:
        self._in_hand[due.target_id] += 1
        task = asyncio.create_task(self._deliver(due), name=f"delivery {due.delivery_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(due, done))

    def _end(self, due: Due, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._in_hand[due.target_id] -= 1
        if not self._in_hand[due.target_id]:
            del self._in_hand[due.target_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # It is due again when its lease is over: the record could not be written, or the key is missing.
            logger.error("notifier.delivery_in_doubt", delivery=str(due.delivery_id), error=str(error)[:500])
        self._news.set()

    async def _deliver(self, due: Due) -> None:
        at = self._now()
        try:
            outcome = await self._sender.send(due, at)
        except NotWanted as refusal:
            await self._in_transaction(records.give_up, due, str(refusal), self._now())
            return
        again_at = None if outcome.delivered or outcome.gone else self._again_at(due, outcome)
        await self._in_transaction(records.record, due, outcome, at=at, again_at=again_at)
        report = logger.info if outcome.delivered else logger.warning
        report(
            "notifier.tried",
            delivery=str(due.delivery_id),
            target=str(due.target_id),
            kind=due.kind,
            attempt=due.attempts,
            status=outcome.status,
            error=outcome.error,
            again_at=again_at and str(again_at),
        )
        if outcome.gone and due.kind == WEBHOOK:
            with suppress(Exception):  # the next delivery says it again
                await self._sender.disable(due.target_id, "the target answered 410 Gone")

    def _again_at(self, due: Due, outcome: Outcome) -> datetime | None:
        return next_try(
            due.attempts - due.earlier_attempts,
            begun_at=due.begun_at,
            now=self._now(),
            chance=self._chance(),
            wish=outcome.wish,
        )

    async def _in_transaction(self, work: Callable[..., T], *args: object, **named: object) -> T:
        def run() -> T:
            with self._engine.begin() as connection:
                return work(connection, *args, **named)

        return await asyncio.to_thread(run)
