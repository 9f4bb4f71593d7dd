"""`blotter metrics`, against a small HTTP server that answers with the gateway's own example."""

from __future__ import annotations

import json

from services.gateway.metric_examples import METRICS
from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway

ASKED = "GET /api/metrics?window_seconds=3600"


def test_every_figure_has_a_line(gateway: FakeGateway, blotter: Blotter) -> None:
    """With its unit, and the position that it is of."""
    gateway.on(ASKED, METRICS)
    ended = blotter("metrics")
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines() if line.strip()]
    assert lines[0] == "Metrics as of position 9210, times of the last 1h"
    assert {"tasks completed 1,204", "queue normal 2, one for 0s", "queue high 0", "workers 1"} <= set(lines)
    assert "duration 1.250 s on average, 95 % within 4.360 s" in lines


def test_what_nobody_knows_is_not_shown_as_a_number(gateway: FakeGateway, blotter: Blotter) -> None:
    """Without Redis nobody knows workers, and before the first task there are no times."""
    unknown = {"workers": None, "worker_states": None, "average_duration_seconds": None, "p95_duration_seconds": None}
    gateway.on(ASKED, METRICS | unknown)
    lines = [" ".join(line.split()) for line in blotter("metrics").out.splitlines()]
    assert "workers ?" in lines
    assert "duration" in lines


def test_programs_get_the_gateways_answer(gateway: FakeGateway, blotter: Blotter) -> None:
    """As JSON, of the window that was asked for."""
    gateway.on("GET /api/metrics?window_seconds=600", METRICS)
    assert json.loads(blotter("metrics", "--window", "600", "--json").out) == METRICS
