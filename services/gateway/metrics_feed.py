"""Metrics for those who listen to them: asked of the status service once a second, while somebody does."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from services.gateway.changes import metrics
from services.gateway.live import Live
from services.gateway.queries import MetricsQuery
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable

EVERY = timedelta(seconds=1)


class MetricsFeed:
    """Hands figures to `Live`; without the status service there are none, and nothing else fails."""

    def __init__(self, status: StatusClient, live: Live) -> None:
        self._status = status
        self._live = live

    async def follow(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._live.metrics_wanted.wait()
            with suppress(Unavailable):
                found = await self._status.metrics(MetricsQuery().parameters())
                self._live.hear(metrics(msgspec.Raw(found), datetime.now(UTC)))
            await asyncio.sleep(EVERY.total_seconds())
