"""The status service as the gateway sees it: tables that may be behind, or away."""

from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from uuid import UUID

import httpx
import msgspec

from shared.domain.errors import FieldError, InvalidInput, Unavailable
from shared.domain.schedule_state import ScheduleState
from shared.domain.webhook import WebhookState
from shared.domain.workers import WorkerView
from shared.result_backend import ProgressReport
from shared.telemetry import current_traceparent

PATIENCE = httpx.Timeout(2.0, connect=0.5)
HEALTH_PATIENCE = httpx.Timeout(4.0, connect=0.5)
"""The service itself gives PostgreSQL and Redis three seconds to answer."""
LIVE_PATIENCE = httpx.Timeout(10.0, connect=0.5)
"""Many tasks at once, counted by conditions that need not have an index."""
LISTENING = httpx.Timeout(2.0, connect=0.5, read=5.0)
"""The service is not silent for more than a second while it passes reports on."""
LIVE_LIMIT = 10_000
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32)

_T = TypeVar("_T")

Parameters = Sequence[tuple[str, str | int]]


class ProjectedTask(NamedTuple):
    """A task's document as it came, and how much of the task's stream is in it."""

    version: int
    document: bytes


class LiveTask(msgspec.Struct, frozen=True):
    """A task that has not ended, as far as the tables tell, and how many events they have seen of it."""

    task_id: UUID
    version: int


class LivePage(msgspec.Struct, frozen=True):
    """A part of the live tasks, of tables that hold the log up to `position`.

    `finished` counts those beside them that have ended, on the first page only.
    """

    items: list[LiveTask]
    next_cursor: str | None
    position: int
    finished: int | None


class SchedulePage(msgspec.Struct, frozen=True):
    """Some of the schedules that are not deleted, as the tables have them."""

    items: list[ScheduleState]
    next_cursor: str | None


class WebhookPage(msgspec.Struct, frozen=True):
    """A page of webhooks, as their folds."""

    items: list[WebhookState]
    next_cursor: str | None


class ProjectedQueues(msgspec.Struct, frozen=True):
    """The queues as the tables and Redis have them."""

    items: list[dict[str, Any]]
    maintenance: dict[str, Any]


class _Workers(msgspec.Struct):
    items: list[WorkerView]


class _Version(msgspec.Struct):
    version: int


class _FieldRefusal(msgspec.Struct):
    field: str
    message: str


class _Refusal(msgspec.Struct):
    detail: str
    errors: list[_FieldRefusal] = []


class _Parts(msgspec.Struct):
    parts: dict[str, dict[str, Any]]


class StatusClient:
    """Pooled connections to the query API; an async context manager.

    Every method raises Unavailable when the service does not answer, or not in a way that can be read.
    """

    def __init__(self, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=PATIENCE, limits=LIMITS, transport=transport, trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def task(self, task_id: UUID) -> ProjectedTask | None:
        """Return a task, None when it is not projected."""
        document = await self._get(f"/tasks/{task_id}")
        return None if document is None else ProjectedTask(_decode(document, _Version).version, document)

    async def tasks(self, parameters: Parameters) -> bytes:
        """Return a page of tasks as JSON. Raises InvalidInput for a cursor that the service did not give out."""
        return await self._need("/tasks", parameters)

    async def live(self, conditions: Parameters, *, cursor: str | None = None, limit: int = LIVE_LIMIT) -> LivePage:
        """Return a page of the tasks that have not ended and meet conditions, newest first."""
        page: list[tuple[str, str | int]] = [("limit", limit)]
        if cursor is not None:
            page.append(("cursor", cursor))
        return _decode(await self._need("/tasks/live", [*conditions, *page], patience=LIVE_PATIENCE), LivePage)

    async def steps(self, task_id: UUID, parameters: Parameters) -> bytes | None:
        """Return a page of a task's steps as JSON, None when the task is not projected. Raises InvalidInput."""
        return await self._get(f"/tasks/{task_id}/steps", parameters)

    async def trace(self, task_id: UUID) -> bytes | None:
        """Return what is kept of a task's trace as JSON, None when the task is not projected."""
        return await self._get(f"/tasks/{task_id}/trace")

    async def logs(self, task_id: UUID, parameters: Parameters) -> bytes | None:
        """Return a page of a task's log lines as JSON, None when neither is known. Raises InvalidInput."""
        return await self._get(f"/tasks/{task_id}/logs", parameters)

    async def orders(self, parameters: Parameters) -> bytes:
        """Return a page of orders as JSON. Raises InvalidInput for a cursor that the service did not give out."""
        return await self._need("/orders", parameters)

    async def schedules(self, parameters: Parameters) -> SchedulePage:
        """Return a page of schedules, newest first. Raises InvalidInput for a cursor that was not given out."""
        return _decode(await self._need("/schedules", parameters), SchedulePage)

    async def schedule_history(self, schedule_id: UUID, parameters: Parameters) -> bytes | None:
        """Return a page of a schedule's history as JSON, None when it is not projected. Raises InvalidInput."""
        return await self._get(f"/schedules/{schedule_id}/history", parameters)

    async def webhooks(self, parameters: Parameters) -> WebhookPage:
        """Return a page of webhooks, newest first. Raises InvalidInput for a cursor that was not given out."""
        return _decode(await self._need("/webhooks", parameters), WebhookPage)

    async def deliveries(self, webhook_id: UUID, parameters: Parameters) -> bytes:
        """Return a page of a webhook's deliveries as JSON. Raises InvalidInput for a cursor that was not given out."""
        return await self._need(f"/webhooks/{webhook_id}/deliveries", parameters)

    async def delivery(self, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any] | None:
        """Return a delivery with its tries, None when the webhook has none of this id."""
        document = await self._get(f"/webhooks/{webhook_id}/deliveries/{delivery_id}")
        return None if document is None else _decode(document, dict[str, Any])

    async def progress(self) -> AsyncGenerator[ProgressReport | None]:
        """Yield what workers say of their steps, and None as a sign of life; ends when Redis goes away."""
        try:
            async with self._http.stream("GET", "/progress", timeout=LISTENING) as response:
                if response.status_code != httpx.codes.OK:
                    raise _unavailable()
                async for line in response.aiter_lines():
                    yield _decode(line.encode(), ProgressReport) if line else None
        except httpx.HTTPError as error:
            raise _unavailable() from error

    async def queues(self) -> ProjectedQueues:
        """Return the queues of the levels, and that of clean-ups, as JSON values."""
        return _decode(await self._need("/queues"), ProjectedQueues)

    async def workers(self) -> list[WorkerView]:
        """Return the workers that live and those that did lately, by name."""
        return _decode(await self._need("/workers"), _Workers).items

    async def alerts(self, parameters: Parameters) -> bytes:
        """Return a page of alerts as JSON, raised last first. Raises InvalidInput for a cursor not given out."""
        return await self._need("/alerts", parameters)

    async def cleanups(self, parameters: Parameters) -> bytes:
        """Return a page of clean-ups as JSON, newest first."""
        return await self._need("/cleanups", parameters)

    async def metrics(self, parameters: Parameters) -> bytes:
        """Return the figures of the system as JSON."""
        return await self._need("/metrics", parameters)

    async def metric_history(self, parameters: Parameters) -> bytes:
        """Return what the last minutes were like as JSON."""
        return await self._need("/metrics/history", parameters)

    async def metric_totals(self) -> dict[str, Any]:
        """Return sums of all time as JSON values."""
        return _decode(await self._need("/metrics/totals"), dict[str, Any])

    async def asyncapi(self) -> bytes:
        """Return the AsyncAPI document of the published events as JSON."""
        return await self._need("/asyncapi.json")

    async def parts(self) -> dict[str, dict[str, Any]]:
        """Return the parts behind the service by name, each with `up` and `detail`."""
        document = await self._get("/health/ready", patience=HEALTH_PATIENCE)
        return {} if document is None else _decode(document, _Parts).parts

    async def _need(self, path: str, parameters: Parameters = (), *, patience: httpx.Timeout = PATIENCE) -> bytes:
        """Return what is always there."""
        document = await self._get(path, parameters, patience=patience)
        if document is None:
            raise _unavailable()
        return document

    async def _get(self, path: str, parameters: Parameters = (), *, patience: httpx.Timeout = PATIENCE) -> bytes | None:
        traceparent = current_traceparent()
        headers = {"traceparent": traceparent} if traceparent else {}
        try:
            response = await self._http.get(path, params=list(parameters), headers=headers, timeout=patience)
        except httpx.HTTPError as error:
            raise _unavailable() from error
        match response.status_code:
            case httpx.codes.OK:
                return response.content
            case httpx.codes.NOT_FOUND:
                return None
            case httpx.codes.UNPROCESSABLE_ENTITY:
                refusal = _decode(response.content, _Refusal)
                raise InvalidInput(refusal.detail, [FieldError(each.field, each.message) for each in refusal.errors])
        raise _unavailable()


def _decode(document: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable("The status service does not answer. Try again in a moment.")
