"""What the gateway relies on in the status service of webhooks: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest

from shared.domain.errors import InvalidInput
from tests.builders import stamp
from tests.contract.status_services import KINDS, Side
from tests.webhook_builders import published, recipient, webhook


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_webhooks_are_listed_newest_first_page_after_page_without_the_deleted_ones(side: Side) -> None:
    """Each as its fold, secrets sealed."""
    webhooks = [webhook(second=second) for second in range(4)]
    webhooks[1].delete(stamp(9))
    for each in webhooks:
        side.show_webhook(each)
    kept = [webhooks[number].state for number in (3, 2, 0)]
    first = await side.client.webhooks([("limit", 2)])
    assert first.next_cursor is not None
    rest = await side.client.webhooks([("limit", 2), ("cursor", first.next_cursor)])
    assert [*first.items, *rest.items] == kept
    assert rest.next_cursor is None


async def test_webhooks_are_listed_by_user(side: Side) -> None:
    """Those of nobody else."""
    ann, bob = webhook(user="ann"), webhook(user="bob")
    for each in (ann, bob):
        side.show_webhook(each)
    assert (await side.client.webhooks([("user_id", "bob")])).items == [bob.state]


async def test_a_cursor_that_was_not_given_out_is_refused(side: Side) -> None:
    """As the caller's fault."""
    with pytest.raises(InvalidInput):
        await side.client.webhooks([("cursor", "nonsense")])


async def test_deliveries_are_listed_newest_event_first_page_after_page(side: Side) -> None:
    """Those of one webhook, by what they have come to if asked."""
    hook, other = webhook(), webhook()
    for each in (hook, other):
        side.show_webhook(each)
    for position in (4, 9, 6):
        side.deliver(recipient(hook), published(position=position), "{}")
    side.deliver(recipient(other), published(position=7), "{}")
    first = msgspec.json.decode(await side.client.deliveries(hook.state.webhook_id, [("limit", 2)]))
    assert [each["position"] for each in first["items"]] == [9, 6]
    rest = msgspec.json.decode(
        await side.client.deliveries(hook.state.webhook_id, [("limit", 2), ("cursor", first["next_cursor"])])
    )
    assert ([each["position"] for each in rest["items"]], rest["next_cursor"]) == ([4], None)
    dead = msgspec.json.decode(await side.client.deliveries(hook.state.webhook_id, [("state", "dead")]))
    assert dead == {"items": [], "next_cursor": None}


async def test_a_delivery_is_told_with_what_is_delivered(side: Side) -> None:
    """Both sides tell the same of one that was not tried yet."""
    hook, event = webhook(), published(position=3)
    side.show_webhook(hook)
    side.deliver(recipient(hook), event, '{"a": 1}')
    delivery_id = recipient(hook).delivery_id(event["id"])
    found = await side.client.delivery(hook.state.webhook_id, delivery_id)
    assert found == {
        "delivery_id": str(delivery_id),
        "event_id": event["id"],
        "type": "execution.failed",
        "position": 3,
        "state": "pending",
        "attempts": 0,
        "created_at": msgspec.to_builtins(stamp(0).at),
        "due_at": msgspec.to_builtins(stamp(0).at),
        "ended_at": None,
        "last_status": None,
        "last_error": None,
        "body": '{"a": 1}',
        "tries": [],
    }


async def test_a_delivery_of_another_webhook_is_not_there(side: Side) -> None:
    """Nor one that nobody knows."""
    hook, other, event = webhook(), webhook(), published()
    side.show_webhook(hook)
    side.deliver(recipient(other), event, "{}")
    assert await side.client.delivery(hook.state.webhook_id, recipient(other).delivery_id(event["id"])) is None
    assert await side.client.delivery(hook.state.webhook_id, uuid4()) is None
