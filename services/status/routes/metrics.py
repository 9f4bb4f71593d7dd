"""Metrics: what has been counted, and the gauges of now."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.status import metric_totals, metrics
from services.status.filters import HistoryFilter, WindowFilter
from services.status.health import projector_lag
from services.status.pages import json_answer
from services.status.resources import Resources
from services.status.seen_workers import seen_workers
from shared.domain.errors import Unavailable
from shared.domain.workers import WorkerState

router = APIRouter(prefix="/metrics", tags=["metrics"])


@router.get("")
async def get_metrics(request: Request, wanted: Annotated[WindowFilter, Query()]) -> Response:
    """Return the figures as of one position, and how many workers there are now."""
    resources: Resources = request.app.state.resources
    window = timedelta(seconds=wanted.window_seconds)
    found = await resources.tables.ask_at_once(metrics.figures, window, datetime.now(UTC))
    lag = await projector_lag(resources, found["as_of_position"])
    return json_answer({**found, **lag, **await worker_counts(resources)})


@router.get("/history")
async def get_history(request: Request, wanted: Annotated[HistoryFilter, Query()]) -> Response:
    """Return a point for each of the last minutes."""
    resources: Resources = request.app.state.resources
    part = metrics.Part(wanted.strategy_id, wanted.priority)
    found = await resources.tables.ask_at_once(metrics.history, wanted.minutes, part, datetime.now(UTC))
    return json_answer(found)


@router.get("/totals")
async def get_totals(request: Request) -> Response:
    """Return sums of all time, and what waits."""
    resources: Resources = request.app.state.resources
    found = await resources.tables.ask_at_once(metric_totals.totals, datetime.now(UTC))
    return json_answer({**found, **await worker_counts(resources)})


async def worker_counts(resources: Resources) -> dict[str, Any]:
    """Return how many workers take tasks or finish theirs, and how many are in each state; null without Redis."""
    try:
        counts = Counter(worker.state for worker in await seen_workers(resources.quiet_redis))
    except Unavailable:
        return {"workers": None, "worker_states": None}
    living = counts[WorkerState.ONLINE] + counts[WorkerState.DRAINING]
    return {"workers": living, "worker_states": {state: counts[state] for state in WorkerState}}
