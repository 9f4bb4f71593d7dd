"""Deliveries to real servers that fail in every way; the clock is the test's, so that hours take no time."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from services.status.notifier.backoff import GIVES_UP_AFTER, STEPS
from services.status.notifier.delivering import AT_ONCE
from services.status.notifier.listening import Listening
from services.status.notifier.records import restart, take
from shared.cloud_events import cloud_event
from shared.published.streams import OPERATIONS
from tests.builders import stamp
from tests.integration.status.notifier.conftest import LEASE, Desk, eventually
from tests.webhook_builders import SECRET, webhook
from tests.webhook_target import Answer, Fault, target


async def test_a_flapping_target_loses_nothing(desk: Desk) -> None:
    """200 events to one that fails, hangs up and says later, in turn: each is taken in the end, signed, once."""

    def flaps(number: int) -> Answer:
        return ((503, {"Retry-After": "1"}), Fault.CLOSE, 500, 204)[number % 4]

    with target(flaps) as told:
        ids = desk.events(desk.decide(webhook(told.url)), 200)
        async with desk.delivering() as delivering:
            while desk.states().get("pending"):
                await desk.pass_time_to_the_next_try(delivering)
    assert desk.states() == {"delivered": 200}
    assert sorted(told.ids()) == sorted(ids)
    assert told.verified(SECRET)


async def test_a_hanging_target_keeps_no_other_one_waiting(desk: Desk) -> None:
    """50 events for each: the good one has all of its own while the other has answered nothing."""
    with target(lambda _: Fault.HANG) as bad, target() as good:
        desk.events(desk.decide(webhook(bad.url)), 50)
        ids = desk.events(desk.decide(webhook(good.url)), 50)
        async with desk.delivering(patience=timedelta(seconds=30)):
            await eventually(lambda: len(good.ids()) == 50, seconds=10)
            assert len(bad.requests) <= 4
            bad.released.set()
    assert sorted(good.ids()) == sorted(ids)


async def test_a_hanging_channel_keeps_nobody_else_waiting(desk: Desk) -> None:
    """Apprise blocks a thread for each: one person's mail server that hangs is not another one's."""
    with target(lambda _: Fault.HANG) as bad, target() as good:
        desk.events(desk.channel("ann", bad.url.replace("http://", "json://")), 8)
        desk.events(desk.channel("bob", good.url.replace("http://", "json://")), 8)
        async with desk.delivering():
            await eventually(lambda: len(good.requests) == 8, seconds=10)
            assert len(bad.requests) == AT_ONCE
            bad.released.set()


async def test_a_request_to_try_again_that_is_published_again_is_not_obeyed_again(desk: Desk) -> None:
    """As after a wipe of Redis; a new one is."""
    with target() as told:
        hook = desk.decide(webhook(told.url))
        desk.events(hook, 1)
        delivery = desk.rows()[0]["delivery_id"]

        async def delivered(times: int) -> None:
            await eventually(lambda: desk.states() == {"delivered": 1} and len(told.requests) == times)

        async with desk.delivering() as delivering:
            listening = Listening(desk.engine, delivering.wake, now=desk.now)
            await delivered(1)
            for number in (1, 2):
                hook.redeliver(stamp(number), delivery)
                desk.decide(hook)
                asked = msgspec.json.decode(msgspec.json.encode(cloud_event(desk.log.read(number)[0])))
                await listening.take_in(OPERATIONS, asked)
                await delivered(number + 1)
                await listening.take_in(OPERATIONS, asked)
                assert desk.states() == {"delivered": 1}
    assert len(told.requests) == 3


async def test_each_try_is_on_record(desk: Desk) -> None:
    """With what the target answered, or why it did not, and when the next one is due."""
    with target(lambda number: (500, Fault.HANG, 204)[number]) as told:
        desk.events(desk.decide(webhook(told.url)), 1)
        async with desk.delivering() as delivering:
            for tried in (1, 2):
                await eventually(lambda tried=tried: desk.tried() == tried)  # type: ignore[misc]
                (row,) = desk.rows()
                pause = row["due_at"] - desk.now()
                assert STEPS[tried - 1] - timedelta(seconds=4) < pause <= STEPS[tried - 1]
                await desk.pass_time_to_the_next_try(delivering)
            await eventually(lambda: desk.states() == {"delivered": 1})
    (row,) = desk.rows()
    assert (row["attempts"], row["last_status"], row["last_error"], row["due_at"]) == (3, 204, None, None)


async def test_what_fails_for_a_day_is_dead_and_is_delivered_when_somebody_asks(desk: Desk) -> None:
    """Nothing is tried after that, until somebody does; then it has a day of its own."""
    answers: list[int] = [500]
    with target(lambda _: answers[-1]) as told:
        hook = desk.decide(webhook(told.url))
        desk.events(hook, 1)
        async with desk.delivering() as delivering:
            while desk.states() != {"dead": 1}:
                await desk.pass_time_to_the_next_try(delivering)
            tried = len(told.requests)
            assert desk.skipped < GIVES_UP_AFTER
            answers.append(204)
            (row,) = desk.rows()
            with desk.engine.begin() as connection:
                assert restart(connection, row["delivery_id"], hook.state.webhook_id, asked=9, now=desk.now())
            delivering.wake()
            await eventually(lambda: desk.states() == {"delivered": 1})
    assert len(told.requests) == tried + 1


async def test_a_target_that_is_gone_is_told_of_nothing_more(desk: Desk) -> None:
    """410 disables the webhook, as an event of the notifier; what waits for it is given up with the reason."""
    with target(lambda _: 410) as told:
        hook = desk.decide(webhook(told.url))
        desk.events(hook, 1)
        async with desk.delivering() as delivering:
            await eventually(lambda: len(desk.log.stream(hook.state.webhook_id)) == 2)
            desk.project()
            desk.events(hook, 1)
            delivering.wake()
            await eventually(lambda: desk.states() == {"dead": 2})
    (_, disabled) = desk.log.stream(hook.state.webhook_id)
    assert (disabled.TOPIC, disabled.actor) == ("webhook.disabled", "status:notifier")
    assert {row["last_error"] for row in desk.rows()} == {None, "the webhook is disabled"}


async def test_what_waits_for_a_deleted_webhook_is_given_up(desk: Desk) -> None:
    """Nothing is posted."""
    with target() as told:
        hook = desk.decide(webhook(told.url))
        desk.events(hook, 3)
        hook.delete(stamp(1))
        desk.decide(hook)
        async with desk.delivering():
            await eventually(lambda: desk.states() == {"dead": 3})
    assert told.requests == []


async def test_a_name_that_leads_to_a_private_network_is_not_called(desk: Desk) -> None:
    """The record says which address, and what would allow it; redirects lead nowhere either."""
    with target(lambda _: (302, {"Location": "http://10.0.0.1/"})) as told:
        desk.events(desk.decide(webhook("http://10.0.0.1:9/hook")), 1)
        desk.events(desk.decide(webhook(told.url)), 1)
        async with desk.delivering():
            await eventually(lambda: all(row["last_error"] or row["last_status"] for row in desk.rows()))
    refused, redirected = sorted(desk.rows(), key=lambda row: row["last_status"] or 0)
    assert "10.0.0.1" in refused["last_error"]
    assert "BLOTTER_WEBHOOK_NETWORKS" in refused["last_error"]
    assert redirected["last_status"] == 302


async def test_a_delivery_that_a_dead_process_held_is_tried_again(desk: Desk) -> None:
    """When its lease is over, and not before; two processes never hold the same one."""
    with target() as told:
        hook = desk.decide(webhook(told.url))
        ids = desk.events(hook, 2)
        with desk.engine.begin() as connection:
            held = take(connection, hook.state.webhook_id, most=1, now=desk.now(), lease=LEASE)
            assert len(held) == 1
        async with desk.delivering() as delivering:
            await eventually(lambda: len(told.ids()) == 1)
            assert told.ids() != [held[0].event_id]
            desk.pass_time(LEASE)
            delivering.wake()
            await eventually(lambda: desk.states() == {"delivered": 2})
    assert sorted(told.ids()) == sorted(ids)


async def test_two_processes_share_what_is_due(desk: Desk) -> None:
    """Each event is posted once."""
    with target() as told:
        ids = desk.events(desk.decide(webhook(told.url)), 100)
        async with desk.delivering(), desk.delivering():
            await eventually(lambda: desk.states() == {"delivered": 100})
    assert sorted(told.ids()) == sorted(ids)
    assert len(told.requests) == 100
