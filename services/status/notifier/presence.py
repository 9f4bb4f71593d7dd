"""How others see that a notifier runs: a lock that any number of them share, and that ends with their connection."""

import asyncio
from contextlib import suppress

import psycopg

from services.status.notifier import NOTIFIER
from shared.log.follower import lock_key

CONNECT_TIMEOUT_SECONDS = 5
LOOK_SECONDS = 2.0
"""How often the connection is looked at, and how long it takes to be there again."""


async def present(database_url: str, stop: asyncio.Event) -> None:
    """Hold the lock until `stop` is set, and again after the database was away."""
    while not stop.is_set():
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(
                database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
            ) as connection:
                await connection.execute("SELECT pg_advisory_lock_shared(%s)", (lock_key(NOTIFIER),))
                while not await _stopped(stop):
                    await connection.execute("SELECT 1")
        await _stopped(stop)


async def _stopped(stop: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
    return stop.is_set()
