"""Metrics: the figures that the status service has summed up."""

from services.gateway.queries import HistoryQuery, MetricsQuery
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable


class Metrics:
    """Reads the figures; there are none without the status service."""

    def __init__(self, status: StatusClient) -> None:
        self._status = status

    async def now(self, wanted: MetricsQuery) -> bytes:
        """Return the figures of now as JSON. Raises Unavailable."""
        try:
            return await self._status.metrics(wanted.parameters())
        except Unavailable as error:
            raise _away() from error

    async def history(self, wanted: HistoryQuery) -> bytes:
        """Return a point for each of the last minutes as JSON. Raises Unavailable."""
        try:
            return await self._status.metric_history(wanted.parameters())
        except Unavailable as error:
            raise _away() from error


def _away() -> Unavailable:
    return Unavailable(
        "Metrics are summed up by the status service, which does not answer: try again in a moment. Tasks can be "
        "submitted, and run, all the same."
    )
