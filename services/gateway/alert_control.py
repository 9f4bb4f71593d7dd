"""Alerts: what is wrong, and saying that one looks after it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller
from services.gateway.status_client import Parameters, StatusClient
from shared.domain.alert import Alert, acknowledged, alert_not_found, evolve, fold
from shared.domain.errors import Unavailable
from shared.log.async_event_log import AsyncEventLog


class AlertControl:
    """Reads alerts from the status service, or one from the log, and appends who acknowledges them."""

    def __init__(self, log: AsyncEventLog, status: StatusClient, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._status = status
        self._now = now

    async def alerts(self, parameters: Parameters) -> bytes:
        """Return a page of alerts as JSON, raised last first. Raises Unavailable."""
        try:
            return await self._status.alerts(parameters)
        except Unavailable as error:
            raise Unavailable(
                "Alerts are listed by the status service, which does not answer: try again in a moment. "
                "GET /api/alerts/{alert_id} works without it, and GET /api/events?types=alert.* has what was raised."
            ) from error

    async def alert(self, alert_id: UUID) -> Alert:
        """Return an alert as the log has it. Raises NotFound and Unavailable."""
        found = fold(recorded.event for recorded in await self._log.streams([alert_id]))
        if found is None:
            raise alert_not_found(str(alert_id))
        return found

    async def acknowledge(self, caller: Caller, alert_id: UUID, note: str | None) -> Alert:
        """Note who looks after an alert; the first one stands. Raises NotFound, Unavailable and VersionConflict."""

        async def attempt() -> Alert:
            alert = await self.alert(alert_id)
            event = acknowledged(alert, stamp_of(caller, self._now()), note=note or None)
            if event is None:
                return alert
            await self._log.append([event])
            return evolve(alert, event) or alert

        return await until_agreed(attempt)
