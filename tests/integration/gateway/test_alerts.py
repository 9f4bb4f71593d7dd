"""Alerts by the public API: the list, one of them, and acknowledging it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from services.gateway.alert_answers import AlertAnswer, AlertPage
from shared.domain.alert_events import ALERT_TOPICS
from tests.alerts import alert_raised, alert_resolved
from tests.integration.gateway.stage import ADA, VERA, Stage, as_user

PATH = "/api/alerts"


async def test_alerts_are_shown_newest_first_and_every_field_is_declared(stage: Stage) -> None:
    """As the status service has them."""
    first, second = alert_raised(1), alert_raised(2)
    stage.status.show_alert(first, second, alert_resolved(first))
    page = (await stage.client.get(PATH, params={"limit": 1})).json()
    assert [item["subject"] for item in page["items"]] == ["queue-2"]
    assert AlertPage.model_validate(page, extra="forbid").items
    rest = (await stage.client.get(PATH, params={"cursor": page["next_cursor"]})).json()
    assert [item["subject"] for item in rest["items"]] == ["queue-1"]
    active = (await stage.client.get(PATH, params={"active": "true"})).json()
    assert [item["subject"] for item in active["items"]] == ["queue-2"]


async def test_whoever_acknowledges_reads_it_at_once(keyed: Stage) -> None:
    """From the log, with the note; the first one stands, whoever does it again."""
    event = alert_raised()
    await keyed.log.append([event])
    path = f"{PATH}/{event.originator_id}"
    done = await keyed.client.post(f"{path}/acknowledge", params={"note": "I look"}, headers=as_user(ADA))
    assert done.status_code == 200, done.text
    AlertAnswer.model_validate(done.json(), extra="forbid")
    assert (done.json()["acknowledged_by"], done.json()["note"]) == ("ada", "I look")
    again = await keyed.client.post(f"{path}/acknowledge", params={"note": "me too"})
    assert again.json() == done.json() == (await keyed.client.get(path)).json()


async def test_twenty_who_acknowledge_at_once_make_one_event(stage: Stage) -> None:
    """All are told of the one that stands."""
    event = alert_raised()
    await stage.log.append([event])
    path = f"{PATH}/{event.originator_id}/acknowledge"
    answers = await asyncio.gather(*(stage.client.post(path, params={"note": str(n)}) for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(await stage.log.read(0, topics=ALERT_TOPICS)) == 2


async def test_a_viewer_may_look_and_not_acknowledge(keyed: Stage) -> None:
    """403 for the second."""
    event = alert_raised()
    await keyed.log.append([event])
    assert (await keyed.client.get(PATH, headers=as_user(VERA))).status_code == 200
    refused = await keyed.client.post(f"{PATH}/{event.originator_id}/acknowledge", headers=as_user(VERA))
    assert refused.status_code == 403


async def test_what_was_never_raised_is_not_found(stage: Stage) -> None:
    """Nor what cannot be an id."""
    for name in (str(uuid4()), "high"):
        answer = await stage.client.get(f"{PATH}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "alert_not_found")
        answer = await stage.client.post(f"{PATH}/{name}/acknowledge")
        assert (answer.status_code, answer.json()["code"]) == (404, "alert_not_found")


async def test_wrong_questions_are_refused_field_by_field(stage: Stage) -> None:
    """And what nobody knows."""
    for name, value in (("limit", "0"), ("active", "yes"), ("kind", "fire"), ("since", "3")):
        answer = await stage.client.get(PATH, params={name: value})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [name]


async def test_without_the_status_service_one_alert_is_still_told(stage: Stage) -> None:
    """The list says where else to look."""
    event = alert_raised()
    await stage.log.append([event])
    stage.status.away = True
    answer = await stage.client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await stage.client.get(f"{PATH}/{event.originator_id}")).status_code == 200
