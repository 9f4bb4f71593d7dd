"""The commands about alerts, against a small HTTP server."""

from __future__ import annotations

import json

from services.gateway.alert_answers import ACKNOWLEDGED, ALERT, ALERTS
from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway


def test_alerts_shows_what_is_wrong(gateway: FakeGateway, blotter: Blotter) -> None:
    """A line an alert, or the answer as it came."""
    gateway.on("GET /api/alerts?limit=500&active=true", ALERTS)
    gateway.on("GET /api/alerts?limit=500", ALERTS)
    ended = blotter("alerts")
    assert ended.code == 0, ended.err
    assert "queue_backlog" in ended.out
    assert json.loads(blotter("alerts", "--all", "--json").out) == ALERTS


def test_acknowledging_says_what_and_by_whom(gateway: FakeGateway, blotter: Blotter) -> None:
    """One line."""
    gateway.on(f"POST /api/alerts/{ALERT['id']}/acknowledge?note=mine", ACKNOWLEDGED)
    ended = blotter("alerts", "acknowledge", ALERT["id"], "--note", "mine")
    assert (ended.code, ended.out.strip()) == (0, "1204 tasks wait in high: acknowledged by ann")
