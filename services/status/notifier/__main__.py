"""The notifier as a process: `python -m services.status.notifier`. Several of them share the work."""

import asyncio
import signal
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from services.status.database import create_engine
from services.status.notifier import GROUP, NOTIFIER
from services.status.notifier.channels import Channels
from services.status.notifier.delivering import IN_ALL, Delivering
from services.status.notifier.listening import Listening
from services.status.notifier.posting import Poster
from services.status.notifier.presence import present
from services.status.notifier.sending import Sender
from services.status.settings import StatusSettings
from shared.log.event_log import EventLog
from shared.logging import configure_logging
from shared.objects import open_store
from shared.published.streams import STREAMS
from shared.published.subscription import Subscription
from shared.telemetry import configure_telemetry

CONNECTIONS = 8
REMEMBER_SECONDS = 1.0

logger = structlog.get_logger()


async def run(settings: StatusSettings) -> None:
    """Notify until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = create_engine(settings.sqlalchemy_url, pool_size=CONNECTIONS)
    log = EventLog(settings.database_url, open_store=partial(open_store, settings))
    poster, channels = Poster(settings.networks), Channels(settings.networks, at_once=IN_ALL)
    delivering = Delivering(
        engine, Sender(log, engine, poster, channels, settings.sealer()), lease=settings.delivery_lease
    )
    listening = Listening(engine, delivering.wake)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(present(settings.database_url, stop))
            group.create_task(_subscription(settings.redis_url, listening).run(stop))
            group.create_task(_remember(listening, stop))
            group.create_task(delivering.run(stop))
    finally:
        channels.close()
        await poster.close()
        log.close()
        engine.dispose()


def _subscription(redis_url: str, listening: Listening) -> Subscription:
    subscription = Subscription(redis_url, group=GROUP)
    for stream in STREAMS:
        # It fails only while the database is away, or the projector behind: then it comes until it is done.
        subscription.handler(stream, deliveries=None)(_handler(stream, listening))
    return subscription


def _handler(stream: str, listening: Listening) -> Any:
    async def handle(event: dict[str, Any]) -> None:
        await listening.take_in(stream, event)

    return handle


async def _remember(listening: Listening, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), REMEMBER_SECONDS)
        try:
            await listening.remember()
        except Exception as error:
            logger.warning("notifier.blind", error=str(error).partition("\n")[0])


def main() -> None:
    """Read the settings and run."""
    settings = StatusSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry(NOTIFIER, settings.telemetry_options)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
