"""The text that Prometheus reads: what the status service has summed up, and what this gateway has counted."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from services.gateway.http_metrics import HttpCounts
from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable
from shared.version import VERSION

MOST_STRATEGIES = 100
"""Further ones are told together, as the strategy `other`."""
OTHER = "other"

Json = dict[str, Any]

_COUNTERS = {
    "submitted": ("blotter_task_submissions", "Tasks that were submitted."),
    "started": ("blotter_task_attempts", "Attempts that a worker began."),
    "retried": ("blotter_task_retries", "Attempts that are made again after a temporary error."),
    "preempted": ("blotter_task_preemptions", "Attempts that made way for a higher level."),
}
_OUTCOMES = ("completed", "failed", "cancelled")
_HISTOGRAMS = {
    "duration": ("blotter_task_duration_seconds", "Time from first start to end of completed tasks."),
    "waiting": ("blotter_task_waiting_seconds", "Time that tasks waited for a worker that took them."),
}


class Exposition:
    """Makes the text anew each time; without the status service there is only what the gateway itself knows."""

    def __init__(self, status: StatusClient, counts: HttpCounts) -> None:
        self._status = status
        self._counts = counts

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its media type: OpenMetrics, which has exemplars, for who accepts it."""
        encode, media_type = choose_encoder(accept)
        found, parts = await asyncio.gather(self._totals(), self._parts())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*_own(found), *(_of_totals(found) if found else ()), *_of_parts(parts)]))
        registry.register(_Families(self._counts.registry.collect()))
        return encode(registry), media_type

    async def _totals(self) -> Json | None:
        try:
            return await self._status.metric_totals()
        except Unavailable:
            return None

    async def _parts(self) -> dict[str, Json]:
        try:
            return await self._status.parts()
        except Unavailable:
            return {}


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _own(found: Json | None) -> Iterator[Metric]:
    build = GaugeMetricFamily("blotter_build_info", "The version of this gateway, always 1.", labels=("version",))
    build.add_metric((VERSION,), 1)
    yield build
    yield GaugeMetricFamily(
        "blotter_status_up",
        "Whether the status service told the figures that are not the gateway's own.",
        int(bool(found)),
    )


def _of_totals(found: Json) -> Iterator[Metric]:
    tasks = GaugeMetricFamily("blotter_tasks", "Tasks by their status.", labels=("status", "priority"))
    for row in found["tasks"]:
        tasks.add_metric((row["status"], row["priority"]), row["count"])
    yield tasks
    yield from _counters(_by_strategy(found["sums"]))
    for figure, (name, text) in _HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, text, labels=("priority",))
        for each in found["histograms"]:
            if each["figure"] == figure:
                histogram.add_metric((each["priority"],), _buckets(each["buckets"]), each["sum_seconds"])
        yield histogram
    yield from _gauges(found)


def _gauges(found: Json) -> Iterator[Metric]:
    depth = GaugeMetricFamily("blotter_queue_depth", "Tasks that wait for a worker.", labels=("priority",))
    oldest = GaugeMetricFamily(
        "blotter_queue_oldest_seconds", "For how long one of them has waited; 0 when none waits.", labels=("priority",)
    )
    for queue in found["queues"]:
        depth.add_metric((queue["priority"],), queue["depth"])
        oldest.add_metric((queue["priority"],), queue["oldest_seconds"] or 0.0)
    yield depth
    yield oldest
    if found["worker_states"] is not None:
        workers = GaugeMetricFamily("blotter_workers", "Workers that live or did lately.", labels=("state",))
        for state, count in found["worker_states"].items():
            workers.add_metric((state,), count)
        yield workers


def _by_strategy(rows: list[Json]) -> dict[tuple[str, str], Json]:
    """Return the sums by strategy and level, those of all strategies beyond the limit together."""
    named = set(islice(sorted({row["strategy_id"] for row in rows}), MOST_STRATEGIES))
    sums: dict[tuple[str, str], Json] = {}
    for row in rows:
        key = (row["strategy_id"] if row["strategy_id"] in named else OTHER, row["priority"])
        known = sums.setdefault(key, dict.fromkeys((*_COUNTERS, *_OUTCOMES), 0))
        for name in known:
            known[name] += row[name]
    return sums


def _counters(sums: dict[tuple[str, str], Json]) -> Iterator[Metric]:
    for figure, (name, text) in _COUNTERS.items():
        counter = CounterMetricFamily(name, text, labels=("strategy", "priority"))
        for place, row in sums.items():
            counter.add_metric(place, row[figure])
        yield counter
    finished = CounterMetricFamily(
        "blotter_tasks_finished", "Ends of tasks.", labels=("strategy", "priority", "outcome")
    )
    for place, row in sums.items():
        for outcome in _OUTCOMES:
            finished.add_metric((*place, outcome), row[outcome])
    yield finished


def _buckets(buckets: list[Json]) -> list[Any]:
    return [(_bound(each["le"]), each["count"], _exemplar(each["example"])) for each in buckets]


def _bound(seconds: float | None) -> str:
    return "+Inf" if seconds is None else repr(float(seconds))


def _exemplar(example: Json | None) -> Exemplar | None:
    return None if example is None else Exemplar({"trace_id": example["trace_id"]}, example["seconds"], example["at"])


def _of_parts(parts: dict[str, Json]) -> Iterator[Metric]:
    up = GaugeMetricFamily("blotter_part_up", "Whether a part of the system works.", labels=("part",))
    for name, part in parts.items():
        up.add_metric((name,), int(part["up"]))
    yield up
    for follower, word in (("projector", "projection"), ("relay", "relay")):
        if "lag_events" in (told := parts.get(follower, {})):
            text = f"What the log has beyond the position of the {follower}"
            yield GaugeMetricFamily(f"blotter_{word}_lag_events", f"{text}, in events.", told["lag_events"])
            yield GaugeMetricFamily(
                f"blotter_{word}_lag_seconds", f"{text}: the age of the first of it.", told["lag_seconds"]
            )
