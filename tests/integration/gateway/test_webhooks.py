"""Webhooks over HTTP: who may make, see and change them, and what of them is in the log."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.gateway.webhook_answers import (
    DeliveryPage,
    DeliveryWithTries,
    WebhookAnswer,
    WebhookPage,
    WebhookWithSecret,
)
from shared.domain.webhook import WEBHOOK_TOPICS, Webhook, fold
from shared.domain.webhook_events import WebhookCreated
from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user
from tests.webhook_builders import SECRET, published, recipient

PATH = "/api/webhooks"
URL = "https://example.com/hooks?token=abc123"
REQUEST = {"url": URL, "types": ["task.failed", "alert.*"]}


async def created(stage: Stage, key: str = ADA, **changes: Any) -> dict[str, Any]:
    """Make a webhook and return it with its secret."""
    response = await stage.client.post(PATH, json=REQUEST | changes, headers=as_user(key))
    assert response.status_code == 201, response.text
    WebhookWithSecret.model_validate_json(response.content)
    return dict(response.json())


async def project(stage: Stage, webhook_id: str) -> Webhook:
    """Let the status service know of a webhook."""
    state = fold(None, (each.event for each in await stage.log.streams([UUID(webhook_id)])))
    assert state is not None
    webhook = Webhook(state)
    stage.status.webhooks.show(webhook)
    return webhook


async def topics(stage: Stage) -> list[str]:
    """What has happened to webhooks."""
    return [recorded.event.TOPIC for recorded in await stage.log.read(0, topics=WEBHOOK_TOPICS)]


async def test_a_webhook_is_told_of_its_owners_events_and_its_secret_once(keyed: Stage) -> None:
    """The answer bears the secret, and no later one does."""
    made = await created(keyed)
    assert base64.b64decode(made["secret"].removeprefix("whsec_"))
    assert (made["url"], made["types"], made["scope"]) == (URL, ["execution.failed", "alert.*"], "own")
    read = await keyed.client.get(f"{PATH}/{made['webhook_id']}", headers=as_user(ADA))
    assert read.json() == {name: value for name, value in made.items() if name != "secret"}
    WebhookAnswer.model_validate_json(read.content)


async def test_neither_address_nor_secret_can_be_read_in_the_log(keyed: Stage) -> None:
    """Every role may read events."""
    made = await created(keyed, secret=SECRET)
    (recorded,) = await keyed.log.read(0, topics=[WebhookCreated.TOPIC])
    text = str(recorded.event)
    assert "abc123" not in text
    assert made["secret"] == SECRET
    assert SECRET.removeprefix("whsec_") not in text
    listed = await keyed.client.get("/api/events", params={"types": "webhook.*"}, headers=as_user(VERA))
    assert "abc123" not in listed.text
    assert "example.com" in listed.text


async def test_an_admins_webhook_is_told_of_everything_unless_they_say_otherwise(keyed: Stage) -> None:
    """A trader's never is."""
    assert (await created(keyed, ROOT))["scope"] == "all"
    assert (await created(keyed, ROOT, scope="own"))["scope"] == "own"
    refused = await keyed.client.post(PATH, json=REQUEST | {"scope": "all"}, headers=as_user(ADA))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_webhooks_of_others_are_closed_to_traders_and_open_to_admins(keyed: Stage) -> None:
    """To read, change, test or delete; viewers have none."""
    made = await created(keyed, ADA)
    path = f"{PATH}/{made['webhook_id']}"
    for method, where in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/test")):
        body = {"json": {"enabled": False}} if method == "PATCH" else {}
        answer = await keyed.client.request(method, where, headers=as_user(BOB), **body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (403, "not_your_webhook"), (method, where)
    assert (await keyed.client.get(path, headers=as_user(ROOT))).status_code == 200
    assert (await keyed.client.post(PATH, json=REQUEST, headers=as_user(VERA))).status_code == 403


async def test_a_list_has_the_callers_webhooks_and_for_admins_all(keyed: Stage) -> None:
    """Newest first."""
    mine, others = await created(keyed, ADA), await created(keyed, BOB)
    for each in (mine, others):
        await project(keyed, each["webhook_id"])

    async def listed(key: str, **query: str) -> list[str]:
        answer = await keyed.client.get(PATH, params=query, headers=as_user(key))
        WebhookPage.model_validate_json(answer.content)
        return [item["webhook_id"] for item in answer.json()["items"]]

    assert await listed(ADA) == [mine["webhook_id"]]
    assert await listed(ADA, user_id="bob") == [mine["webhook_id"]]
    assert await listed(ROOT) == [others["webhook_id"], mine["webhook_id"]]
    assert await listed(ROOT, user_id="ada") == [mine["webhook_id"]]


async def test_a_webhook_is_changed_disabled_and_deleted(keyed: Stage) -> None:
    """Each is an event; asking again is none."""
    made = await created(keyed)
    path = f"{PATH}/{made['webhook_id']}"

    async def change(**body: Any) -> dict[str, Any]:
        answer = await keyed.client.patch(path, json=body, headers=as_user(ADA))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert (await change(types=["*"], enabled=False))["enabled"] is False
    assert (await change(url="https://example.org/x"))["url"] == "https://example.org/x"
    await change(url="https://example.org/x", enabled=False)
    assert (await change(enabled=True))["types"] == ["*"]
    assert await topics(keyed) == [
        *("webhook.created", "webhook.changed", "webhook.disabled", "webhook.changed", "webhook.enabled")
    ]
    assert (await keyed.client.delete(path, headers=as_user(ADA))).json()["enabled"] is False
    gone = await keyed.client.delete(path, headers=as_user(ADA))
    assert (gone.status_code, gone.json()["code"]) == (404, "webhook_not_found")


async def test_another_secret_is_shown_once(keyed: Stage) -> None:
    """It differs from the first."""
    made = await created(keyed)
    rotated = await keyed.client.post(f"{PATH}/{made['webhook_id']}/rotate", headers=as_user(ADA))
    assert rotated.status_code == 200
    assert rotated.json()["secret"] not in (None, made["secret"])


async def test_deliveries_are_listed_told_and_tried_again_on_request(keyed: Stage) -> None:
    """A redelivery is an event that names the delivery; one of another webhook is not found."""
    made = await created(keyed)
    webhook = await project(keyed, made["webhook_id"])
    event = published()
    keyed.status.webhooks.deliver(recipient(webhook), event, "{}", "2026-01-30T14:30:00Z")
    delivery_id = recipient(webhook).delivery_id(event["id"])
    path = f"{PATH}/{made['webhook_id']}/deliveries"
    listed = await keyed.client.get(path, params={"state": "pending"}, headers=as_user(ADA))
    DeliveryPage.model_validate_json(listed.content)
    assert [item["delivery_id"] for item in listed.json()["items"]] == [str(delivery_id)]
    told = await keyed.client.get(f"{path}/{delivery_id}", headers=as_user(ADA))
    DeliveryWithTries.model_validate_json(told.content)
    again = await keyed.client.post(f"{path}/{delivery_id}/redeliver", headers=as_user(ADA))
    assert again.status_code == 202, again.text
    assert (await topics(keyed))[-1] == "webhook.redelivery_requested"
    unknown = await keyed.client.post(f"{path}/{uuid4()}/redeliver", headers=as_user(ADA))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "delivery_not_found")


async def test_a_key_makes_one_webhook(keyed: Stage) -> None:
    """The second answer has no secret: it was shown."""
    headers = as_user(ADA) | {"Idempotency-Key": "hook-1"}
    first = await keyed.client.post(PATH, json=REQUEST, headers=headers)
    again = await keyed.client.post(PATH, json=REQUEST, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"secret": None}
    other = await keyed.client.post(PATH, json=REQUEST | {"types": ["*"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://127.0.0.1:5432/"}, "url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "url"),
        ({"types": []}, "types"),
        ({"types": ["task.faild"]}, "types.0"),
        ({"secret": "whsec_short"}, "secret"),
        ({"secret": "nothing of the kind"}, "secret"),
        ({"retries": 3}, "retries"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_field(keyed: Stage, changes: dict[str, Any], field: str) -> None:
    """And nothing is recorded."""
    answer = await keyed.client.post(PATH, json=REQUEST | changes, headers=as_user(ADA))
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await topics(keyed) == []


async def test_lists_need_the_status_service_and_the_rest_does_not(keyed: Stage) -> None:
    """The sentence says so."""
    keyed.status.away = True
    made = await created(keyed)
    path = f"{PATH}/{made['webhook_id']}"
    assert (await keyed.client.get(path, headers=as_user(ADA))).status_code == 200
    away = await keyed.client.get(PATH, headers=as_user(ADA))
    assert away.status_code == 503
    assert "status service" in away.json()["detail"]


async def preferences(stage: Stage, key: str, **body: Any) -> httpx.Response:
    """Say how somebody wants to be told of things."""
    return await stage.client.put("/api/me/notifications", json=body, headers=as_user(key))


async def test_people_are_told_by_default_of_own_failures_and_admins_of_alerts(keyed: Stage) -> None:
    """Before they have said anything."""
    trader = (await keyed.client.get("/api/me/notifications", headers=as_user(ADA))).json()
    admin = (await keyed.client.get("/api/me/notifications", headers=as_user(ROOT))).json()
    assert (trader["types"], trader["channels"], trader["default_types"]) == (["execution.failed"], [], True)
    assert admin["types"] == ["execution.failed", "alert.raised", "alert.resolved"]


async def test_a_channel_is_kept_by_its_id_and_never_shown_again(keyed: Stage) -> None:
    """Everything else is replaced."""
    first = await preferences(keyed, ADA, channels=[{"url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr"}])
    assert first.status_code == 200, first.text
    (channel,) = first.json()["channels"]
    assert set(channel) == {"channel_id", "scheme"}
    kept = {"channel_id": channel["channel_id"]}
    both = await preferences(keyed, ADA, channels=[kept, {"url": "mailto://a:b@example.com"}], types=["task.*"])
    assert both.status_code == 200, both.text
    assert [each["scheme"] for each in both.json()["channels"]] == ["slack", "mailto"]
    assert both.json()["types"] == ["execution.*"]
    log = await keyed.log.read(0, topics=["notification.preferences_changed"])
    assert "TIiajkdnlazkcOXr" not in str(log)


@pytest.mark.parametrize(
    ("channel", "word"),
    [
        ({"url": "exec:///bin/sh"}, "Apprise"),
        ({"url": "file:///etc/passwd"}, "Apprise"),
        ({"url": "dbus://x"}, "Apprise"),
        ({"url": "////"}, "Apprise"),
        ({}, "channel_id"),
        ({"channel_id": str(uuid4())}, "none of your"),
    ],
)
async def test_a_channel_that_is_none_is_refused(keyed: Stage, channel: dict[str, str], word: str) -> None:
    """What runs or writes something on this machine is none."""
    answer = await preferences(keyed, ADA, channels=[channel])
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["errors"][0]["message"]


async def test_only_admins_are_told_of_everybodys_tasks(keyed: Stage) -> None:
    """As with webhooks."""
    assert (await preferences(keyed, ADA, channels=[], scope="all")).status_code == 403
    assert (await preferences(keyed, ROOT, channels=[], scope="all")).json()["scope"] == "all"
