"""Handlers of published events, as FastStream subscribers of a consumer group that lose nothing.

Each handler gets every event at least once: also what was published before the group was made, what a process had in
hand that died, and what the relay publishes again after Redis was wiped. Events of one stream come in its order, but
for those that are repeated. A handler tells repeated ones by the CloudEvent's `source` and `id`.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from faststream.middlewares import AckPolicy
from faststream.redis import RedisBroker, RedisRouter, StreamSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.published.dead_letters import DeadLetters
from shared.published.groups import FIRST

LONGEST = timedelta(seconds=30)
"""The longest that a handler may take, unless it says otherwise."""
MARGIN = timedelta(seconds=1)
DELIVERIES = 5
"""How often a message is given to a handler that fails on it."""
AGAIN_AFTER = timedelta(seconds=1)
LOOK_EVERY = timedelta(milliseconds=100)
BLOCK_MILLISECONDS = 1_000
REDIS_TIMEOUT_SECONDS = 5.0
"""How long Redis may take for an answer; longer than a read waits for news."""

Handle = TypeVar("Handle", bound=Callable[..., Awaitable[Any]])

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Registered:
    function: Callable[..., Awaitable[Any]]
    stream: str
    idle: timedelta
    deliveries: int | None


class Subscription:
    """One consumer group and its handlers::

        subscription = Subscription("redis://127.0.0.1:6379/0", group="desk.reports")

        @subscription.handler(TASKS)
        async def on_task(event: dict) -> None: ...

        asyncio.run(subscription.run())

    Each event goes to one of the processes that run the same group. `consumer` is a process's name in the group, by
    default its host's; processes may share it. A handler's arguments are FastStream's: the first is the CloudEvent.
    """

    def __init__(self, redis_url: str, *, group: str, consumer: str | None = None) -> None:
        self.group = group
        self.consumer = consumer or socket.gethostname()
        self._redis_url = redis_url
        self._registered: list[_Registered] = []

    def handler(
        self, *streams: str, longest: timedelta = LONGEST, deliveries: int | None = DELIVERIES
    ) -> Callable[[Handle], Handle]:
        """Register a coroutine function for the events of `streams`.

        What it raises on comes again after `longest`, which must be more than it ever takes: a message in hand for
        longer is taken for that of a dead process. After so many `deliveries` it goes to the stream
        `dead_letters(stream, group)`; with None it comes for ever, for a handler that fails only when something that it
        needs is away.
        """

        def register(function: Handle) -> Handle:
            for stream in streams:
                self._registered.append(
                    _Registered(function=function, stream=stream, idle=longest + MARGIN, deliveries=deliveries)
                )
            return function

        return register

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Handle events until `stop` is set; without one, until SIGTERM or SIGINT.

        It outlives a Redis that is away, restarted or wiped: FastStream's subscribers end when their group is gone, so
        they are made anew, and the groups with them.
        """
        stop = stop or _stop_on_signals()
        while not stop.is_set():
            try:
                await self._consume(stop)
            except (RedisError, OSError) as error:  # TimeoutError is one of them
                logger.warning("subscription.interrupted", group=self.group, error=str(error) or type(error).__name__)
            await _wait(stop, AGAIN_AFTER)

    async def _consume(self, stop: asyncio.Event) -> None:
        broker = RedisBroker(
            self._redis_url,
            logger=logging.getLogger(__name__),
            log_level=logging.DEBUG,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        for registered in self._registered:
            self._subscribe(broker, registered)
        subscribers: Sequence[Any] = broker.subscribers
        for subscriber in subscribers:
            # It makes its group, at the end of the stream unless told otherwise, and then reads what is new to it.
            subscriber.last_id = FIRST
        try:
            await broker.start()
            logger.info("subscription.active", group=self.group, consumer=self.consumer)
            while not stop.is_set() and all(subscriber.running for subscriber in subscribers):
                await _wait(stop, LOOK_EVERY)
        finally:
            await broker.stop()

    def _subscribe(self, broker: RedisBroker, registered: _Registered) -> None:
        """Add the two subscribers of a handler: of what is new, and of what was delivered and never acknowledged.

        A read takes one message. With more, the last of them would wait longer than `idle` for its turn, and be taken
        for abandoned.
        """
        idle = int(registered.idle / timedelta(milliseconds=1))
        letters = DeadLetters(broker, registered.stream, self.group, deliveries=registered.deliveries)
        for router, min_idle_time in ((RedisRouter(), None), (RedisRouter(middlewares=(letters,)), idle)):
            source = StreamSub(
                registered.stream,
                group=self.group,
                consumer=self.consumer,
                max_records=1,
                min_idle_time=min_idle_time,
                polling_interval=BLOCK_MILLISECONDS,
            )
            router.subscriber(stream=source, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)(registered.function)
            broker.include_router(router)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _wait(stop: asyncio.Event, patience: timedelta) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), patience.total_seconds())
