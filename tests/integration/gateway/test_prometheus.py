"""What Prometheus scrapes: names and types that its own tool accepts, and numbers that are those of the API."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from shared.domain.phases import Phase
from tests.builders import in_phase
from tests.contract.test_status_metrics import completed
from tests.heartbeats import heartbeat
from tests.integration.gateway.stage import VERA, Stage, as_user

OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}
TRACE = f"00-{7:032x}-{1:016x}-01"


def show(stage: Stage) -> None:
    """Let the status service know of some tasks and a worker."""
    stage.status.show(in_phase(Phase.WAITING), in_phase(Phase.FAILED))
    stage.status.show(completed(3.0, ended=datetime.now(UTC), trace=TRACE))
    stage.status.show_worker(heartbeat())


async def samples(stage: Stage) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series that is told, with its labels."""
    text = (await stage.client.get("/metrics")).text
    return {(s.name, frozenset(s.labels.items())): s.value for family in plain(text) for s in family.samples}


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The key of a series."""
    return name, frozenset(labels.items())


async def test_the_numbers_are_those_of_the_status_service(stage: Stage) -> None:
    """Tasks, ends, times, queues, workers and parts."""
    show(stage)
    found = await samples(stage)
    place = {"strategy": "sma-crossover", "priority": "normal"}
    assert found[of("blotter_tasks", status="queued", priority="normal")] == 1
    assert found[of("blotter_task_submissions_total", **place)] == 3
    assert found[of("blotter_tasks_finished_total", outcome="completed", **place)] == 1
    assert found[of("blotter_task_duration_seconds_sum", priority="normal")] == pytest.approx(3.0)
    assert found[of("blotter_task_duration_seconds_bucket", priority="normal", le="2.048")] == 0
    assert found[of("blotter_task_duration_seconds_bucket", priority="normal", le="+Inf")] == 1
    assert found[of("blotter_queue_depth", priority="normal")] == 1
    assert found[of("blotter_workers", state="online")] == 1
    assert found[of("blotter_part_up", part="projector")] == 1
    assert found[of("blotter_status_up")] == 1


async def test_prometheus_own_tool_finds_nothing_to_complain_of(stage: Stage) -> None:
    """`promtool check metrics`, on everything there is."""
    tool = shutil.which("promtool")
    if tool is None:
        reason = "promtool is not there: apt-get install prometheus, as .ci/run does as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    show(stage)
    await stage.client.get("/api/tasks")
    text = (await stage.client.get("/metrics")).text
    done = await asyncio.to_thread(_check, tool, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _check(tool: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)


async def test_traces_are_exemplars_for_who_accepts_open_metrics(stage: Stage) -> None:
    """At the bucket that the task's duration fell into; the plain text has none."""
    show(stage)
    answer = await stage.client.get("/metrics", headers=OPEN)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    exemplars = [
        (s.labels["le"], s.exemplar.labels["trace_id"])
        for family in open_metrics(answer.text)  # type: ignore[no-untyped-call]
        for s in family.samples
        if s.exemplar is not None
    ]
    assert exemplars == [("4.096", f"{7:032x}")]
    ordinary = await stage.client.get("/metrics")
    assert ordinary.headers["Content-Type"].startswith("text/plain")
    assert "trace_id" not in ordinary.text


async def test_requests_are_counted_by_route_and_never_by_path(stage: Stage) -> None:
    """However many ids and paths are asked for, there is a series for each route, and one for what has none."""
    for number in range(5):
        await stage.client.get(f"/api/tasks/{number:032x}")
        await stage.client.get(f"/nowhere/{number}")
    found = await samples(stage)
    counted = {
        dict(labels)["route"]: value for (name, labels), value in found.items() if name == "blotter_http_requests_total"
    }
    assert counted == {"/api/tasks/{task_id}": 5, "none": 5}
    assert found[of("blotter_http_request_duration_seconds_count", method="GET", route="none")] == 5


async def test_without_the_status_service_the_gateway_tells_its_own(stage: Stage) -> None:
    """Prometheus keeps scraping, and sees what is away."""
    stage.status.away = True
    answer = await stage.client.get("/metrics")
    assert answer.status_code == 200
    names = {family.name for family in plain(answer.text)}
    assert (await samples(stage))[of("blotter_status_up")] == 0
    assert "blotter_build_info" in names
    assert "blotter_tasks" not in names


async def test_beyond_a_hundred_strategies_the_rest_is_told_together(stage: Stage) -> None:
    """The number of series has a bound; the sum is that of all."""
    stage.status.show(*(in_phase(Phase.FAILED, strategy_id=f"strategy-{number:03}") for number in range(103)))
    found = await samples(stage)
    failed = {
        dict(labels)["strategy"]: value
        for (name, labels), value in found.items()
        if name == "blotter_tasks_finished_total" and dict(labels)["outcome"] == "failed"
    }
    assert (len(failed), failed["other"], sum(failed.values())) == (101, 3, 103)


async def test_a_scrape_needs_a_key_where_there_are_keys(keyed: Stage) -> None:
    """Any role's will do."""
    assert (await keyed.client.get("/metrics", headers=as_user("nobody-key-0123456789"))).status_code == 401
    assert (await keyed.client.get("/metrics", headers=as_user(VERA))).status_code == 200
