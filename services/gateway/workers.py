"""Workers: what they say of themselves, from the status service, and the decision that one is to leave, in the log."""

from collections.abc import Callable
from datetime import datetime

from services.gateway.agreement import stamp_of, until_agreed
from services.gateway.credentials import Caller
from services.gateway.status_client import StatusClient
from shared.domain.deciding import metadata
from shared.domain.errors import NotFound, Unavailable, WorkerOffline
from shared.domain.worker_events import DrainRequested, worker_stream
from shared.domain.workers import WorkerState, WorkerView
from shared.log.async_event_log import AsyncEventLog

_LONGEST_ECHO = 60


class Workers:
    """Reads workers, and has them leave."""

    def __init__(self, log: AsyncEventLog, status: StatusClient, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._status = status
        self._now = now

    async def all(self) -> list[WorkerView]:
        """Return the workers that live and those that did lately, by name. Raises Unavailable."""
        try:
            return await self._status.workers()
        except Unavailable as error:
            raise Unavailable(
                "Workers are known to the status service, which does not answer, or has no Redis: try again in a "
                "moment. Tasks can be submitted, and run, all the same."
            ) from error

    async def drain(self, caller: Caller, name: str) -> WorkerView:
        """Have a worker take nothing more, and leave; durable then. Asking again changes nothing.

        Returns the worker as it is known. Raises NotFound, WorkerOffline, Unavailable, and VersionConflict when many
        ask at once.
        """
        worker = next((each for each in await self.all() if each.name == name), None)
        if worker is None:
            raise NotFound(
                "worker",
                f"There is no worker {name[:_LONGEST_ECHO]!r}, and was none lately; GET /api/workers lists them.",
            )
        if worker.state is WorkerState.OFFLINE:
            raise WorkerOffline(
                f"{name[:_LONGEST_ECHO]} is offline since {worker.last_heartbeat_at:%Y-%m-%d %H:%M:%S} UTC, and takes "
                "nothing: there is nothing to drain. What it had in hand goes on elsewhere."
            )
        if worker.state is not WorkerState.DRAINING:
            await until_agreed(lambda: self._request(caller, worker))
        return worker

    async def _request(self, caller: Caller, worker: WorkerView) -> None:
        stream = worker_stream(worker.name)
        latest = await self._log.latest(stream)
        known = latest.event if latest else None
        if isinstance(known, DrainRequested) and known.started_at == worker.started_at:
            return
        event = DrainRequested(
            originator_id=stream,
            originator_version=known.originator_version + 1 if known else 1,
            **metadata(stamp_of(caller, self._now())),
            name=worker.name,
            started_at=worker.started_at,
        )
        await self._log.append([event])
