"""Takes in what is published: who is to be told of an event is written down before the event is acknowledged."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from services.status.notifier import records
from services.status.notifier.audience import Audience, Belonging, read_audience, read_belonging, topic_of
from services.status.notifier.delivering import utc_now
from shared.domain.webhook_events import RedeliveryRequested

PATIENCE = timedelta(seconds=10)
"""How long an event waits for the projector; after that it comes again."""
LOOK_AGAIN = timedelta(milliseconds=20)

logger = structlog.get_logger()


class ProjectorBehind(Exception):
    """The tables do not hold yet what an event is about."""


class Listening:
    """What the notifier does with each published event. `wake` is called when something is due."""

    def __init__(self, engine: sa.Engine, wake: Callable[[], None], *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._wake = wake
        self._now = now
        self._audience = Audience()
        self._done: dict[str, int] = {}
        self._written: dict[str, int] = {}

    async def take_in(self, stream: str, event: dict[str, Any]) -> None:
        """Write down who is to be told; raises when the database is away, or the projector too far behind."""
        if event["position"] > self._audience.position:
            self._audience = await self._audience_of(event["position"])
        topic = topic_of(event)
        if self._audience.may_want(topic) or topic == RedeliveryRequested.TOPIC:
            await asyncio.to_thread(self._write, stream, event)
            self._wake()
        self._done[stream] = max(event["position"], self._done.get(stream, 0))

    async def remember(self) -> None:
        """Write down how far each stream was worked on, if that has changed."""
        done = dict(self._done)
        if done != self._written:
            await asyncio.to_thread(self._remember, done)
            self._written = done

    async def _audience_of(self, position: int) -> Audience:
        give_up_at = time.monotonic() + PATIENCE.total_seconds()
        while True:
            audience = await asyncio.to_thread(self._read)
            if audience.position >= position:
                return audience
            if time.monotonic() > give_up_at:
                raise ProjectorBehind(f"the tables stand at {audience.position}, the event at {position}")
            await asyncio.sleep(LOOK_AGAIN.total_seconds())

    def _read(self) -> Audience:
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            return read_audience(connection)

    def _write(self, stream: str, event: dict[str, Any]) -> None:
        now = self._now()
        with self._engine.begin() as connection:
            if topic_of(event) == RedeliveryRequested.TOPIC:
                delivery_id, webhook_id = UUID(event["data"]["delivery_id"]), UUID(event["subject"])
                records.restart(connection, delivery_id, webhook_id, asked=event["position"], now=now)
            whose = read_belonging(connection, event)
            recipients = self._audience.recipients(event, whose.user_id)
            records.add(connection, event, body_of(event, whose), recipients, now)
            records.worked_on(connection, stream, event["position"])

    def _remember(self, done: dict[str, int]) -> None:
        with self._engine.begin() as connection:
            for stream, position in done.items():
                records.worked_on(connection, stream, position)


def body_of(event: dict[str, Any], whose: Belonging) -> str:
    """Return what is delivered: the event as published, and beside it whose it is, and of which strategy.

    Both are extension attributes, whose names CloudEvents has in lower case and without separators.
    """
    extensions = {"userid": whose.user_id, "strategyid": whose.strategy_id}
    return json.dumps({**event, **{name: value for name, value in extensions.items() if value is not None}})
