"""Metrics over HTTP: what the status service has summed up, for whoever has a key."""

from __future__ import annotations

import pytest

from services.gateway.metric_answers import MetricHistory, MetricsAnswer
from services.gateway.metric_examples import HISTORY, METRICS
from shared.domain.phases import Phase
from tests.builders import in_phase
from tests.heartbeats import heartbeat
from tests.integration.gateway.stage import VERA, Stage, as_user

PATHS = ("/api/metrics", "/api/metrics/history")


async def test_figures_are_told_as_the_status_service_has_them(stage: Stage) -> None:
    """In the form of the document."""
    stage.status.show(in_phase(Phase.WAITING), in_phase(Phase.SUCCEEDED))
    stage.status.show_worker(heartbeat())
    found = MetricsAnswer.model_validate_json((await stage.client.get("/api/metrics")).content)
    assert (found.tasks.queued, found.tasks.completed, found.queue_length.normal, found.workers) == (1, 1, 1, 1)
    assert found.window_seconds == 3_600
    history = await stage.client.get("/api/metrics/history", params={"minutes": 7})
    assert len(MetricHistory.model_validate_json(history.content).points) == 7


def test_the_examples_have_the_form_of_the_document() -> None:
    """Every field, and no other."""
    assert set(METRICS) == set(MetricsAnswer.model_fields)
    MetricsAnswer.model_validate(METRICS)
    MetricHistory.model_validate(HISTORY)


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_status_service_there_are_no_metrics(stage: Stage, path: str) -> None:
    """The answer says so, and that tasks run all the same."""
    stage.status.away = True
    answer = await stage.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "Metrics" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "/api/metrics?window_seconds=59",
        "/api/metrics?window=60",
        "/api/metrics?window_seconds=60&window_seconds=61",
        "/api/metrics/history?minutes=0",
        "/api/metrics/history?minutes=1441",
        "/api/metrics/history?priority=urgent",
        "/api/metrics/history?strategy_id=%00",
    ],
)
async def test_what_cannot_be_asked_is_refused(stage: Stage, query: str) -> None:
    """With the field that is wrong."""
    answer = await stage.client.get(query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("path", PATHS)
async def test_metrics_are_for_every_role_and_not_for_strangers(keyed: Stage, path: str) -> None:
    """A viewer sees them."""
    assert (await keyed.client.get(path, headers=as_user(VERA))).status_code == 200
    assert (await keyed.client.get(path, headers=as_user("nobody-key-0123456789"))).status_code == 401
