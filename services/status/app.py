"""The query API of the status service, for the gateway alone: it knows no users and listens on loopback.

::

    GET /tasks/{task_id}         200 the task as the gateway answers it, and `version`: how much of its stream is in it.
                                 404 task_not_found also for one that is not projected yet: ask the log then
    GET /tasks?state=&status=&strategy_id=&symbol=&user_id=&priority=&schedule_id=
              &label=k:v&label=...&since=&until=&limit=&cursor=
                                 200 {"items", "next_cursor"}, newest first
    GET /tasks/live?(the same conditions)&limit=&cursor=
                                 200 {"items": [{"task_id", "version"}], "next_cursor", "position", "finished"}, newest
                                 first: those that have not ended, of tables that hold the log up to `position`, and on
                                 the first page how many beside them have ended (100,000 at most)
    GET /tasks/{task_id}/steps?limit=&cursor=
                                 200 {"items", "next_cursor"}, in the order in which they run; 404
    GET /tasks/{task_id}/events?limit=&cursor=
                                 200 {"items", "next_cursor"}, from the log itself, oldest first; 404
    GET /tasks/{task_id}/trace   200 {"task_id", "trace_id", "spans": [...] by their start, "truncated", "reason"}; a
                                 task of which nothing is kept has no spans and a reason; 404
    GET /tasks/{task_id}/logs?after=&level=&limit=
                                 200 {"items", "next_cursor"}, in the order in which the lines were kept; each has a
                                 `cursor`, which is an `after`; 404
    GET /orders?task_id=&symbol=&state=&limit=&cursor=
                                 200 {"items", "next_cursor"}, newest first
    GET /schedules?strategy_id=&user_id=&enabled=&limit=&cursor=
                                 200 {"items": [`ScheduleState` of each], "next_cursor"}, newest first, without the
                                 deleted ones
    GET /schedules/{schedule_id}/history?limit=&cursor=
                                 200 {"items", "next_cursor"}, newest first: {"position", "at", "type", "kind",
                                 "nominal_at", "last_at", "request_id", "task_id", "reason", "running_task_id", "count",
                                 "actor"} of each event, what does not apply is null, and {"task_state", "task_status"}
                                 of its run as it is now; 404 schedule_not_found
    GET /progress                200 application/x-ndjson without end: a `ProgressReport` a line, as workers make them;
                                 an empty line a second in silence; ends when Redis goes away
    GET /queues                  200 {"items": [{"priority", "depth", "oldest_seconds", "paused", "paused_at",
                                 "paused_by", "pause_reason", "consumers"}], "maintenance": {"depth", "consumers"}},
                                 highest level first; `consumers` are names of workers; what Redis alone knows is null
                                 while it is away
    GET /workers                 200 {"items": [`WorkerView` of each]}, by name: those that live and those that did
                                 lately; 503 while Redis is away
    GET /alerts?active=&kind=&limit=&cursor=
                                 200 {"items", "next_cursor"}, raised last first; as the log has them, however far the
                                 tables are behind
    GET /cleanups?limit=&cursor= 200 {"items": [{"position", "started_at", "finished_at", "kinds": [{"kind", "counts",
                                 "seconds", "error"}]}], "next_cursor"}, newest first
    GET /metrics?window_seconds= 200 the figures of docs/metrics.md, all of the position `as_of_position` but for the
                                 lag beyond it and the workers, which are those of now, and null while Redis is away
    GET /metrics/history?minutes=&strategy_id=&priority=
                                 200 {"as_of_position", "points"}: a point a minute, oldest first, none left out
    GET /webhooks?user_id=&limit=&cursor=
                                 200 {"items": [`WebhookState` of each], "next_cursor"}, newest first, without
                                 the deleted ones
    GET /webhooks/{webhook_id}/deliveries?state=&limit=&cursor=
                                 200 {"items", "next_cursor"}, newest event first
    GET /webhooks/{webhook_id}/deliveries/{delivery_id}
                                 200 the delivery, with `body` and `tries`; 404
    GET /metrics/totals          200 {"as_of_position", "tasks", "sums", "histograms", "queues", "workers",
                                 "worker_states"}: sums of all time, for Prometheus
    GET /asyncapi.json           200 the AsyncAPI 3.0 document of the published events
    GET /health/live             200 {"status": "live"}
    GET /health/ready            200 {"status": "ready"|"degraded", "parts": {name: {"up", "detail", ...}}}
                                 parts: database, redis, projector and relay (lag_events, lag_seconds, position),
                                 notifier, alerter, dispatcher, results, orders, workers (count), scheduler

Errors are problem documents: 422 invalid_request with `errors` by field, 404, 503 unavailable. A running task's
`progress` may hold `step_progress` {"done", "total", "message"}; a task whose result is no longer in the object store
has no `result` and says why in `result_error`. All reads are of committed rows. Nothing is written; spans
and log lines that are too old or too many are deleted now and then.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.status import problems
from services.status.pruning import keep_pruned
from services.status.resources import open_resources
from services.status.routes import (
    alerts,
    asyncapi,
    cleanups,
    health,
    metrics,
    orders,
    progress,
    queues,
    schedules,
    tasks,
    telemetry,
    webhooks,
    workers,
)
from services.status.settings import StatusSettings


def create_app(settings: StatusSettings) -> FastAPI:
    """Return the application; it opens its connections when it starts and closes them when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            pruning = asyncio.create_task(keep_pruned(resources, max_bytes=settings.telemetry_max_bytes))
            try:
                yield
            finally:
                pruning.cancel()
                await asyncio.wait([pruning])

    app = FastAPI(title="Blotter status", lifespan=lifespan)
    problems.install(app)
    app.include_router(tasks.router)
    app.include_router(telemetry.router)
    app.include_router(orders.router)
    app.include_router(schedules.router)
    app.include_router(progress.router)
    app.include_router(queues.router)
    app.include_router(workers.router)
    app.include_router(alerts.router)
    app.include_router(cleanups.router)
    app.include_router(metrics.router)
    app.include_router(webhooks.router)
    app.include_router(asyncapi.router)
    app.include_router(health.router)
    return app
