"""What the gateway relies on in the status service of alerts: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.alerts import alert_raised, alert_resolved
from tests.contract.status_services import KINDS, Side


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_before_the_first_alert_the_list_is_empty(side: Side) -> None:
    """An answer, not an error."""
    assert msgspec.json.decode(await side.client.alerts([])) == {"items": [], "next_cursor": None}


async def test_an_alert_is_told_to_the_letter(side: Side) -> None:
    """What is wrong, since when, and what became of it."""
    side.show_alert(event := alert_raised())
    side.show_alert(alert_resolved(event))
    (item,) = (await side.get("/alerts")).json()["items"]
    assert item == {
        "id": str(event.originator_id),
        "kind": "queue_backlog",
        "subject": "queue-1",
        "severity": "warning",
        "summary": "12 tasks wait",
        "value": 12.0,
        "threshold": 10.0,
        "since": "2026-03-02T14:30:01Z",
        "resolved_at": "2026-03-02T14:31:01Z",
        "resolution": "it is well below its threshold again",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "note": None,
        "occurrences": 1,
    }


async def test_alerts_come_newest_first_page_after_page(side: Side) -> None:
    """Each once; narrowed to those that are active, or of a kind."""
    raised = [alert_raised(number) for number in range(1, 6)]
    for event in raised:
        side.show_alert(event)
    side.show_alert(alert_resolved(raised[2]))
    assert [item["subject"][-1] for item in await side.pages("/alerts", limit=2)] == list("54321")
    assert [item["subject"][-1] for item in await side.pages("/alerts", limit=2, active="true")] == list("5421")
    assert [item["subject"][-1] for item in await side.pages("/alerts", active="false")] == ["3"]
    assert await side.pages("/alerts", kind="task_failed") == []
