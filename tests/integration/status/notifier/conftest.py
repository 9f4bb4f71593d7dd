"""Deliveries on a database of the test's own, with a clock that tests move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.status.database import create_engine
from services.status.notifier.audience import CHANNEL, Recipient
from services.status.notifier.channels import Channels
from services.status.notifier.delivering import IN_ALL, Delivering
from services.status.notifier.posting import Poster
from services.status.notifier.records import add
from services.status.notifier.sending import Sender
from services.status.notifier.tables import deliveries, tries
from services.status.projector import Projector
from shared.domain.notification_events import Channel
from shared.domain.webhook import Webhook
from shared.log.event_log import EventLog
from shared.targets import Networks
from tests.webhook_builders import SEALER, preferences, published, recipient

LOOPBACK = Networks.parse("127.0.0.0/8")
LEASE = timedelta(seconds=60)


class Desk:
    """Webhooks that are projected, deliveries to them, and the time, which `pass_time` moves on."""

    def __init__(self, database_url: str, sqlalchemy_url: str) -> None:
        self.engine = create_engine(sqlalchemy_url, pool_size=8)
        self.log = EventLog(database_url)
        self.skipped = timedelta()

    def now(self) -> datetime:
        """The time by this desk's clock."""
        return datetime.now(UTC) + self.skipped

    def pass_time(self, by: timedelta) -> None:
        """Let time go by."""
        self.skipped += by

    def project(self) -> None:
        """Bring the tables up to date with the log."""
        projector = Projector(self.log, self.engine)
        projector.process(self.log.read(projector.start(), topics=projector.topics))

    def decide(self, webhook: Webhook) -> Webhook:
        """Append what was decided, and project it."""
        self.log.append(webhook.collect_events())
        self.project()
        return webhook

    def channel(self, user: str, url: str) -> Recipient:
        """Give a user one channel, and return it."""
        channel = Channel(channel_id=uuid4(), url=SEALER.seal(url), scheme="json")
        self.log.append([preferences(user, channels=(channel,))])
        self.project()
        return Recipient(kind=CHANNEL, target_id=channel.channel_id, user_id=user)

    def events(self, to: Webhook | Recipient, count: int) -> list[str]:
        """Have so many events on their way to a webhook or a channel; return their ids."""
        ids, target = [], to if isinstance(to, Recipient) else recipient(to)
        with self.engine.begin() as connection:
            for position in range(1, count + 1):
                event = published(position=position)
                add(connection, event, json.dumps(event), [target], self.now())
                ids.append(event["id"])
        return ids

    def states(self) -> dict[str, int]:
        """How many deliveries have come to what."""
        c = deliveries.c
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(c.state, sa.func.count()).group_by(c.state))
            return {state: count for state, count in rows}

    def tried(self) -> int:
        """How many tries are on record."""
        with self.engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tries)) or 0

    async def pass_time_to_the_next_try(self, delivering: Delivering) -> None:
        """Wait until nothing is due nor under way, and let time go by until something is, if anything will be."""
        await eventually(lambda: delivering.under_way == 0 and not self._is_due(), seconds=60)
        if (due := self._next_due()) is not None:
            self.pass_time(max(due - self.now(), timedelta()))
            delivering.wake()

    def _is_due(self) -> bool:
        due = self._next_due()
        return due is not None and due <= self.now()

    def _next_due(self) -> datetime | None:
        with self.engine.connect() as connection:
            due: datetime | None = connection.scalar(sa.select(sa.func.min(deliveries.c.due_at)))
        return due

    def rows(self) -> list[dict[str, Any]]:
        """All deliveries, by position."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(deliveries).order_by(deliveries.c.position)).mappings()
            return [dict(row) for row in rows]

    @asynccontextmanager
    async def delivering(self, *, patience: timedelta = timedelta(seconds=0.3)) -> AsyncIterator[Delivering]:
        """Deliver while the block runs."""
        poster, channels = Poster(LOOPBACK, timeout=patience), Channels(LOOPBACK, at_once=IN_ALL)
        sender = Sender(self.log, self.engine, poster, channels, SEALER)
        running, stop = Delivering(self.engine, sender, lease=LEASE, now=self.now, chance=lambda: 0.5), asyncio.Event()
        task = asyncio.create_task(running.run(stop))
        try:
            yield running
        finally:
            stop.set()
            running.wake()
            await task
            channels.close()
            await poster.close()


@pytest.fixture
def desk(settings: Any) -> Iterator[Desk]:
    """A desk without webhooks."""
    desk = Desk(settings.database_url, settings.sqlalchemy_url)
    yield desk
    desk.engine.dispose()
    desk.log.close()


async def eventually(condition: Callable[[], object], *, seconds: float = 20.0, hint: str = "") -> None:
    """Wait until a condition holds; fails after so many seconds."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + seconds
    while not await asyncio.to_thread(condition):
        assert loop.time() < give_up_at, f"not within {seconds:g} s: {hint or condition}"
        await asyncio.sleep(0.02)
