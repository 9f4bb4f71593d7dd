"""Whether the gateway can accept work, and how every other part does."""

import asyncio
from datetime import timedelta
from enum import StrEnum
from typing import Any

from services.gateway.catalogue import Catalogue
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable
from shared.log.async_event_log import AsyncEventLog

LOG_TIMEOUT = timedelta(seconds=2)

Part = dict[str, Any]


class Verdict(StrEnum):
    """`degraded` still accepts tasks and keeps them; `unavailable` cannot."""

    READY = "ready"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class Readiness:
    """Asks each part; a part is a dict with `up`, `detail` and what else explains it."""

    def __init__(self, log: AsyncEventLog, catalogue: Catalogue, status: StatusClient) -> None:
        self._log = log
        self._catalogue = catalogue
        self._status = status

    async def parts(self) -> dict[str, Part]:
        """Return every part by name, those that the status service knows included; never raises."""
        log, behind = await asyncio.gather(self._log_part(), self._status_parts())
        return {"log": log, "catalogue": self._catalogue_part(), **behind}

    async def _log_part(self) -> Part:
        try:
            async with asyncio.timeout(LOG_TIMEOUT.total_seconds()):
                return _up(position=await self._log.head())
        except (Unavailable, TimeoutError):
            return _down("PostgreSQL does not answer; check DATABASE_URL and the server")

    def _catalogue_part(self) -> Part:
        latest = self._catalogue.latest
        if latest is None:
            return _down("no executor has published its strategies yet")
        return _up(position=latest.position, strategies=len(latest.strategies), broken=len(latest.broken))

    async def _status_parts(self) -> dict[str, Part]:
        try:
            return {"status": _up(), **await self._status.parts()}
        except Unavailable:
            return {"status": _down("the status service does not answer; check BLOTTER_STATUS_URL and its process")}


def verdict(parts: dict[str, Part]) -> Verdict:
    """Return what `parts` mean for a client."""
    if not (parts["log"]["up"] and parts["catalogue"]["up"]):
        return Verdict.UNAVAILABLE
    return Verdict.READY if all(part["up"] for part in parts.values()) else Verdict.DEGRADED


def _up(**more: Any) -> Part:
    return {"up": True, "detail": None, **more}


def _down(detail: str) -> Part:
    return {"up": False, "detail": detail}
