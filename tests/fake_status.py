"""The status service in memory; `tests/contract/test_status_service.py` holds it to the real one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import msgspec

from services.status.alert_projection import evolved
from services.status.cursors import TimeCursor, decode_time_cursor, encode_time_cursor
from services.status.filters import AlertFilter
from services.status.retention_projection import cleanup_row
from services.status.schedule_rows import history_row
from services.status.seen_workers import worker_views
from services.status.telemetry import place_of, trace_document
from shared.documents import order_document, step_document, task_document
from shared.domain.alert import Alert, alert_document
from shared.domain.alert_events import AlertEvent
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase, status
from shared.domain.retention_events import CleanupFinished
from shared.domain.schedule import Schedule
from shared.domain.schedule_state import ScheduleState
from shared.domain.views import OrderView, StepView, TaskView, ledger_views, step_views, task_view
from shared.domain.workers import WorkerState
from shared.heartbeats import WorkerHeartbeat
from shared.log.runs import Recorded
from shared.log.schedules import decode_snapshot, encode_snapshot
from shared.objects import MemoryObjectStore
from shared.result_backend import ProgressReport
from tests.builders import NOW
from tests.fake_metrics import figures, history, totals
from tests.fake_queues import FakeQueues
from tests.fake_webhooks import FakeWebhooks
from tests.memory_telemetry import MemoryStore

PARTS = (
    "database",
    "redis",
    "projector",
    "relay",
    "notifier",
    "alerter",
    "dispatcher",
    "results",
    "orders",
    "workers",
    "scheduler",
)
ASYNCAPI = {"asyncapi": "3.0.0", "info": {"title": "Blotter", "version": "0.1.0"}, "channels": {}}
ENDED = [status(phase) for phase in Phase if phase.ended]
_ORDER_FILTER = ("task_id", "symbol", "state")
_TASK = re.compile(r"/tasks/([0-9a-f-]{36})")
_STEPS = re.compile(r"/tasks/([0-9a-f-]{36})/steps")
_TRACE = re.compile(r"/tasks/([0-9a-f-]{36})/trace")
_LOGS = re.compile(r"/tasks/([0-9a-f-]{36})/logs")
_DELIVERIES = re.compile(r"/webhooks/([0-9a-f-]{36})/deliveries")
_DELIVERY = re.compile(r"/webhooks/([0-9a-f-]{36})/deliveries/([0-9a-f-]{36})")
_HISTORY = re.compile(r"/schedules/([0-9a-f-]{36})/history")


class _Row(NamedTuple):
    view: TaskView
    steps: tuple[StepView, ...]
    orders: tuple[OrderView, ...]


class _Shown(NamedTuple):
    state: ScheduleState
    history: dict[int, dict[str, Any]]


class _Lines(httpx.AsyncByteStream):
    """An answer without end; the first line is empty."""

    def __init__(self, forget: Callable[[_Lines], None]) -> None:
        self._forget = forget
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.put(b"\n")

    def put(self, line: bytes | None) -> None:
        """Send a line; None ends it."""
        self._queue.put_nowait(line)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (line := await self._queue.get()) is not None:
            yield line

    async def aclose(self) -> None:
        """The client has gone, or has read to the end."""
        self._forget(self)


class FakeStatus:
    """Knows the runs and schedules it was shown, as they were then; `away` makes it refuse connections,
    `redis_away` what it knows from Redis alone.

    `position` counts the events that it was shown, unless a test sets it. A page of live tasks has `most_live` at most;
    `on_live` is called after it has looked which they are.
    """

    def __init__(self) -> None:
        self._rows: dict[UUID, _Row] = {}
        self._schedules: dict[UUID, _Shown] = {}
        self._heartbeats: dict[str, WorkerHeartbeat] = {}
        self._silent: set[str] = set()
        self.away = False
        self.redis_away = False
        self.down: set[str] = set()
        self.queues = FakeQueues()
        self._cleanups: dict[int, dict[str, Any]] = {}
        self.alerts: dict[UUID, Alert] = {}
        self.telemetry = MemoryStore()
        self.webhooks = FakeWebhooks()
        self.position = 0
        self.most_live = 10_000
        self.on_live: Callable[[], None] = lambda: None
        self.asked: list[str] = []
        self._listeners: list[_Lines] = []

    def show(self, *executions: WorkflowExecution) -> None:
        """Project runs as they are now."""
        for execution in executions:
            known = self._rows.get(execution.id)
            self.position += execution.events - (known.view.version if known else 0)
            self._rows[execution.id] = _Row(
                task_view(execution), tuple(step_views(execution)), tuple(ledger_views(execution))
            )

    def show_schedule(self, schedule: Schedule, recorded: Iterable[Recorded] = ()) -> None:
        """Project a schedule as it is now, and what the log has recorded of it, beside what was shown before."""
        known = self._schedules.get(schedule.id)
        self.position += schedule.version - (known.state.version if known else 0)
        history = (known.history if known else {}) | {each.position: history_row(each) for each in recorded}
        self._schedules[schedule.id] = _Shown(decode_snapshot(encode_snapshot(schedule.state)), history)

    def report(self, *reports: ProgressReport) -> None:
        """Say how far steps are to all who listen now."""
        for listener in self._listeners:
            for report in reports:
                listener.put(msgspec.json.encode(report) + b"\n")

    def end_progress(self) -> None:
        """End all that listen now."""
        for listener in self._listeners:
            listener.put(None)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def show_worker(self, heartbeat: WorkerHeartbeat, *, alive: bool = True) -> None:
        """Have a worker send a heartbeat; one that is not `alive` has been silent since."""
        self._heartbeats[heartbeat.name] = heartbeat
        self._silent -= {heartbeat.name}
        self._silent |= set() if alive else {heartbeat.name}

    def show_cleanup(self, position: int, event: CleanupFinished) -> None:
        """Project a clean-up."""
        self._cleanups[position] = cleanup_row(position, event)

    def show_alert(self, *events: AlertEvent) -> None:
        """Project what happens to alerts."""
        self.alerts = evolved(self.alerts, events)

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """What a client talks to instead of the network."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError("connection refused", request=request)
        path, query = request.url.path, request.url.params
        if path == "/health/ready":
            return _json({"status": "ready", "parts": {name: self._part(name) for name in PARTS}})
        if path == "/progress":
            lines = _Lines(self._listeners.remove)
            self._listeners.append(lines)
            return httpx.Response(200, stream=lines)
        if path == "/workers":
            return self._list_workers()
        if path == "/asyncapi.json":
            return _json(ASYNCAPI)
        if path == "/tasks":
            return self._list(query)
        if path == "/tasks/live":
            return self._live(query)
        if path == "/orders":
            return self._orders(query)
        if path == "/metrics":
            views = [row.view for row in self._rows.values()]
            return _json(figures(views, self.position, int(query["window_seconds"])) | self._worker_counts())
        if path == "/metrics/totals":
            sums = totals([row.view for row in self._rows.values()])
            return _json(sums | {"as_of_position": self.position} | self._worker_counts())
        if path == "/metrics/history":
            return _json(history([row.view for row in self._rows.values()], self.position, query))
        if path == "/queues":
            return _json(self.queues.document([row.view for row in self._rows.values()]))
        if path == "/alerts":
            return self._list_alerts(query)
        if path == "/cleanups":
            return self._list_cleanups(query)
        if path == "/schedules":
            return self._list_schedules(query)
        if path.startswith("/webhooks"):
            return self._of_webhooks(path, query)
        if found := _HISTORY.fullmatch(path):
            return self._history(UUID(found[1]), query)
        if found := _STEPS.fullmatch(path):
            return self._steps(UUID(found[1]), query)
        if found := _TRACE.fullmatch(path):
            return self._trace(UUID(found[1]))
        if found := _LOGS.fullmatch(path):
            return self._logs(UUID(found[1]), query)
        if (found := _TASK.fullmatch(path)) and (row := self._rows.get(UUID(found[1]))):
            return _json(_document(row.view))
        return _problem(404, "task_not_found")

    def _of_webhooks(self, path: str, query: httpx.QueryParams) -> httpx.Response:
        if path == "/webhooks":
            return _page(self.webhooks.states(query.get("user_id")), query, lambda state: state)
        if found := _DELIVERIES.fullmatch(path):
            before, limit = int(query.get("cursor", 1 << 62)), int(query.get("limit", "50"))
            shown = self.webhooks.deliveries(UUID(found[1]), query.get("state"), before)
            more = str(shown[limit - 1]["position"]) if len(shown) > limit else None
            return _json({"items": shown[:limit], "next_cursor": more})
        if (found := _DELIVERY.fullmatch(path)) and (one := self.webhooks.delivery(UUID(found[1]), UUID(found[2]))):
            return _json(one)
        return _problem(404, "delivery_not_found")

    def _list_workers(self) -> httpx.Response:
        if self.redis_away:
            return _problem(503, "unavailable")
        living = {name: beat for name, beat in self._heartbeats.items() if name not in self._silent}
        return _json({"items": worker_views(living, self._heartbeats, datetime.now(UTC))})

    def _list_alerts(self, query: httpx.QueryParams) -> httpx.Response:
        wanted = AlertFilter.model_validate(dict(query))
        before = decode_time_cursor(wanted.cursor) if wanted.cursor is not None else None
        found = [
            alert
            for alert in sorted(self.alerts.values(), key=lambda each: (each.since, each.id), reverse=True)
            if (wanted.active is None or wanted.active is alert.is_active)
            and (wanted.kind is None or wanted.kind is alert.kind)
            and (before is None or (alert.since, alert.id) < tuple(before))
        ]
        shown, rest = found[: wanted.limit], found[wanted.limit :]
        next_cursor = encode_time_cursor(TimeCursor(shown[-1].since, shown[-1].id)) if rest else None
        return _json({"items": [alert_document(alert) for alert in shown], "next_cursor": next_cursor})

    def _list_cleanups(self, query: httpx.QueryParams) -> httpx.Response:
        cursor, limit = int(query.get("cursor", "0")), int(query.get("limit", "50"))
        newest_first = sorted(self._cleanups.items(), reverse=True)
        rows = [row for position, row in newest_first if not cursor or position < cursor]
        next_cursor = str(rows[limit - 1]["position"]) if len(rows) > limit else None
        return _json({"items": rows[:limit], "next_cursor": next_cursor})

    def _worker_counts(self) -> dict[str, Any]:
        if self.redis_away:
            return {"workers": None, "worker_states": None}
        living = {name: beat for name, beat in self._heartbeats.items() if name not in self._silent}
        states = [view.state for view in worker_views(living, self._heartbeats, datetime.now(UTC))]
        counts = {state: states.count(state) for state in WorkerState}
        return {
            "workers": counts[WorkerState.ONLINE] + counts[WorkerState.DRAINING],
            "worker_states": counts,
        }

    def _part(self, name: str) -> dict[str, Any]:
        return {"up": name not in self.down, "detail": "it is down" if name in self.down else None}

    def _live(self, query: httpx.QueryParams) -> httpx.Response:
        views = sorted((row.view for row in self._rows.values()), key=_newest_first)
        matching = [(place, view) for place, view in enumerate(views) if _matches(view, query)]
        live = [(place, view) for place, view in matching if view.status not in ENDED]
        limit = min(int(query["limit"]), self.most_live)
        left = [(place, view) for place, view in live if place > int(query.get("cursor", "-1"))]
        document = {
            "items": [{"task_id": view.task_id, "version": view.version} for _, view in left[:limit]],
            "next_cursor": str(left[limit - 1][0]) if len(left) > limit else None,
            "position": self.position,
            "finished": None if "cursor" in query else len(matching) - len(live),
        }
        self.on_live()
        return _json(document)

    def _list(self, query: httpx.QueryParams) -> httpx.Response:
        views = [row.view for row in self._rows.values() if _matches(row.view, query)]
        views.sort(key=_newest_first)
        return _page(views, query, _document)

    def _orders(self, query: httpx.QueryParams) -> httpx.Response:
        views = [view for row in self._rows.values() for view in row.orders]
        views = [view for view in views if all(str(getattr(view, n)) == query[n] for n in _ORDER_FILTER if n in query)]
        views.sort(key=lambda view: (view.requested_at, view.client_order_id), reverse=True)
        return _page(views, query, order_document)

    def _steps(self, task_id: UUID, query: httpx.QueryParams) -> httpx.Response:
        row = self._rows.get(task_id)
        return _page(row.steps, query, step_document) if row else _problem(404, "task_not_found")

    def _trace(self, task_id: UUID) -> httpx.Response:
        row = self._rows.get(task_id)
        if row is None:
            return _problem(404, "task_not_found")
        rows = self.telemetry.trace_rows(UUID(row.view.trace_id), task_id) if row.view.trace_id else []
        return _json(trace_document(row.view, rows, retention=timedelta(days=7), now=datetime.now(UTC)))

    def _logs(self, task_id: UUID, query: httpx.QueryParams) -> httpx.Response:
        limit = int(query.get("limit", "100"))
        found = self.telemetry.lines_after(task_id, after=place_of(query.get("after")), level=query.get("level"))
        if not found and task_id not in self._rows:
            return _problem(404, "task_not_found")
        next_cursor = found[limit - 1]["cursor"] if len(found) > limit else None
        return _json({"items": found[:limit], "next_cursor": next_cursor})

    def _list_schedules(self, query: httpx.QueryParams) -> httpx.Response:
        states = [shown.state for shown in self._schedules.values() if _shows(shown.state, query)]
        states.sort(key=lambda state: (state.created_at, state.id), reverse=True)
        return _page(states, query, lambda state: state)

    def _history(self, schedule_id: UUID, query: httpx.QueryParams) -> httpx.Response:
        shown = self._schedules.get(schedule_id)
        if shown is None:
            return _problem(404, "schedule_not_found")
        rows = [row for _, row in sorted(shown.history.items(), reverse=True)]
        return _page(rows, query, self._history_document)

    def _history_document(self, row: dict[str, Any]) -> dict[str, Any]:
        run = self._rows.get(row["task_id"])
        of_run = {"task_state": run.view.state if run else None, "task_status": run.view.status if run else None}
        return {name: value for name, value in row.items() if name != "schedule_id"} | of_run


def _shows(state: ScheduleState, query: httpx.QueryParams) -> bool:
    found = {
        "strategy_id": state.definition.strategy_id,
        "user_id": state.user_id,
        "enabled": str(state.enabled).lower(),
    }
    return state.deleted_at is None and all(found[name] == query[name] for name in found if name in query)


def _matches(view: TaskView, query: httpx.QueryParams) -> bool:
    names = ("state", "status", "strategy_id", "user_id", "priority", "schedule_id")
    labels = [label.partition(":") for label in query.get_list("label")]
    return (
        all(str(getattr(view, name)) == query[name] for name in names if name in query)
        and ("symbol" not in query or query["symbol"] in view.symbols)
        and all(view.labels.get(key) == value for key, _, value in labels)
        and ("since" not in query or view.submitted_at >= datetime.fromisoformat(query["since"]))
        and ("until" not in query or view.submitted_at < datetime.fromisoformat(query["until"]))
    )


def _newest_first(view: TaskView) -> tuple[float, int]:
    return -view.submitted_at.timestamp(), -UUID(view.task_id).int


def _page(items: Sequence[Any], query: httpx.QueryParams, document: Callable[[Any], Any]) -> httpx.Response:
    """Answer a page; a cursor is the index of the last item of the page before."""
    cursor, limit = query.get("cursor", "-1"), int(query.get("limit", "50"))
    if not re.fullmatch(r"-1|[0-9]{1,18}", cursor):
        return _problem(422, "invalid_request", [{"field": "cursor", "message": "not a cursor of this list"}])
    start = int(cursor) + 1
    page = items[start : start + limit]
    next_cursor = str(start + limit - 1) if len(items) > start + limit else None
    return _json({"items": [document(item) for item in page], "next_cursor": next_cursor})


def _document(view: TaskView) -> dict[str, Any]:
    return task_document(view, now=NOW, objects=MemoryObjectStore())


def _json(document: Any) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(document), headers={"Content-Type": "application/json"})


def _problem(status: int, code: str, errors: Sequence[dict[str, str]] = ()) -> httpx.Response:
    document = {"status": status, "code": code, "detail": "Correct the request.", "errors": errors}
    return httpx.Response(status, json=document, headers={"Content-Type": "application/problem+json"})
