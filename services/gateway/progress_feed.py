"""What running steps say of themselves, heard from the status service while somebody listens."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import structlog

from services.gateway.changes import progress
from services.gateway.live import Live
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable

FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=2)

logger = structlog.get_logger()


class ProgressFeed:
    """Hands reports to `Live`; without the status service or Redis there are none, and nothing else fails."""

    def __init__(self, status: StatusClient, live: Live) -> None:
        self._status = status
        self._live = live

    async def follow(self) -> None:
        """Listen until cancelled; connects again, ever more slowly, when the status service goes away."""
        backoff = FIRST_BACKOFF
        while True:
            await self._live.listened()
            try:
                async with aclosing(self._status.progress()) as heard:
                    async for report in heard:
                        backoff = FIRST_BACKOFF
                        if report is not None:
                            self._live.hear(progress(report))
                        if not self._live.is_listened:
                            break
            except Unavailable as error:
                logger.info("progress.not_heard", error=str(error), again_in=str(backoff))
            if self._live.is_listened:
                await asyncio.sleep(backoff.total_seconds())
                backoff = min(backoff * 2, LONGEST_BACKOFF)
