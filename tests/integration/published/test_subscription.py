"""Subscribers of a consumer group: in processes that are killed, on a Redis that is wiped, stopped or given junk."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from faststream.redis import RedisBroker

from shared.published.entries import FIELD, event_in
from shared.published.groups import ensure_group
from shared.published.streams import ALERTS, TASKS, dead_letters
from shared.published.subscription import Subscription
from tests.failing_redis import FailingRedis
from tests.integration.published.listener import DELIVERIES, Listener, handled, listening
from tests.waiting import until

GROUP = "desk.reports"
PATIENCE = 30.0


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client of the test's Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def numbered(*numbers: int, **data: Any) -> list[dict[str, Any]]:
    """Documents that look enough like CloudEvents."""
    return [{"id": str(number), "type": "blotter.test", "data": data} for number in numbers]


def publish(redis_url: str, *documents: dict[str, Any], stream: str = TASKS) -> None:
    """Publish documents as FastStream does it by itself."""

    async def all_of_them() -> None:
        async with RedisBroker(redis_url) as broker:
            for document in documents:
                await broker.publish(document, stream=stream)

    asyncio.run(all_of_them())


def ids(notes: Path) -> list[str]:
    """The ids of what was handled, in order."""
    return [event["id"] for event in handled(notes)]


def entries(client: redis.Redis, stream: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """All entries of a stream, as a plain client reads them."""
    return client.xrange(stream)  # type: ignore[return-value]


def await_ids(notes: Path, wanted: Sequence[int]) -> None:
    """Wait until exactly these were handled, in this order."""
    names = [str(number) for number in wanted]
    until(lambda: ids(notes) == names, seconds=PATIENCE, hint=f"{names} handled; {notes}")


def test_a_new_group_gets_what_was_published_before_it_and_its_second_start_what_is_new(
    redis_url: str, tmp_path: Path
) -> None:
    """Neither the end of the stream nor its own pending entries are where a subscriber begins."""
    notes = tmp_path / "notes"
    publish(redis_url, *numbered(1, 2))
    with listening(redis_url, GROUP, notes) as first:
        await_ids(notes, [1, 2])
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(PATIENCE) == 0
    publish(redis_url, *numbered(3))
    with listening(redis_url, GROUP, notes):
        await_ids(notes, [1, 2, 3])


def test_what_a_killed_process_had_in_hand_is_handled_by_another_of_its_group(redis_url: str, tmp_path: Path) -> None:
    """kill -9 in mid-message: the other process takes the message over, and another group has missed nothing."""
    one, other, elsewhere = tmp_path / "one", tmp_path / "other", tmp_path / "elsewhere"
    with ExitStack() as stack:
        killed = stack.enter_context(listening(redis_url, GROUP, one, consumer="one"))
        publish(redis_url, *numbered(1, 2), *numbered(3, stall=True), *numbered(4, 5))
        until(lambda: killed.stalled, seconds=PATIENCE)
        killed.kill()
        stack.enter_context(listening(redis_url, GROUP, other, consumer="other"))
        other.with_suffix(".stalled").touch()  # it does not hang on the same message again
        stack.enter_context(listening(redis_url, "desk.else", elsewhere)).notes.with_suffix(".stalled").touch()
        await_ids(elsewhere, [1, 2, 3, 4, 5])
        until(lambda: sorted(ids(one) + ids(other)) == ["1", "2", "3", "4", "5"], seconds=PATIENCE)
    assert ids(one) == ["1", "2"]


def test_a_message_that_the_handler_fails_on_goes_to_the_dead_letters_and_the_others_go_on(
    redis_url: str, client: redis.Redis, tmp_path: Path
) -> None:
    """It is tried as often as promised, put aside whole with its id, and acknowledged."""
    notes = tmp_path / "notes"
    with listening(redis_url, GROUP, notes):
        publish(redis_url, *numbered(1, fail=True), *numbered(2))
        until(lambda: client.xlen(dead_letters(TASKS, GROUP)), seconds=PATIENCE)
        await_ids(notes, [2])
        ((_, letter),) = entries(client, dead_letters(TASKS, GROUP))
        ((message_id, _), _) = entries(client, TASKS)
        assert letter[b"id"] == message_id
        assert letter[b"deliveries"] == str(DELIVERIES).encode()
        assert event_in(letter) == numbered(1, fail=True)[0]
        assert client.xpending(TASKS, GROUP)["pending"] == 0


def test_junk_goes_to_the_dead_letters(redis_url: str, client: redis.Redis, tmp_path: Path) -> None:
    """What somebody else has put into the stream cannot be decoded, and stops nobody."""
    notes = tmp_path / "notes"
    client.xadd(TASKS, {FIELD: b"\x89BIN\r\n\x1a\n\x00\x01"})
    client.xadd(TASKS, {"no": "message"})
    truncated = b'{"data": "{", "headers": {"content-type": "application/json"}}'
    client.xadd(TASKS, {FIELD: truncated})
    publish(redis_url, *numbered(1))
    with listening(redis_url, GROUP, notes):
        await_ids(notes, [1])
        until(lambda: client.xlen(dead_letters(TASKS, GROUP)) == 3, seconds=PATIENCE)
        assert client.xpending(TASKS, GROUP)["pending"] == 0


def test_after_a_wipe_the_group_is_made_again_and_gets_everything_that_is_published(
    redis_url: str, client: redis.Redis, tmp_path: Path
) -> None:
    """The process goes on, though FastStream's subscribers end when their group is gone."""
    notes = tmp_path / "notes"
    with listening(redis_url, GROUP, notes) as listener:
        publish(redis_url, *numbered(1))
        await_ids(notes, [1])
        client.flushdb()
        publish(redis_url, *numbered(2, 3))
        await_ids(notes, [1, 2, 3])
        assert listener.process.poll() is None


def test_a_subscriber_outlives_a_redis_that_is_stopped_and_comes_back(
    failing_redis: FailingRedis, tmp_path: Path
) -> None:
    """Killed while it listens, absent, and back with what it held; a start without Redis waits for it as well."""
    notes = tmp_path / "notes"
    publish(failing_redis.url, *numbered(1))
    with listening(failing_redis.url, GROUP, notes) as listener:
        await_ids(notes, [1])
        failing_redis.kill()
        with listening(failing_redis.url, "desk.late", tmp_path / "late") as late:
            failing_redis.start()
            publish(failing_redis.url, *numbered(2), stream=ALERTS)
            await_ids(notes, [1, 2])
            until(lambda: set(ids(tmp_path / "late")) == {"1", "2"}, seconds=PATIENCE)
            _assert_alive(listener, late)


def _assert_alive(*listeners: Listener) -> None:
    for each in listeners:
        assert each.process.poll() is None


async def test_a_handler_may_be_given_a_message_for_ever(redis_url: str) -> None:
    """One that fails because what it needs is away succeeds when that is back; nothing is put aside."""
    subscription, done, tries = Subscription(redis_url, group=GROUP), asyncio.Event(), []

    @subscription.handler(TASKS, longest=timedelta(), deliveries=None)
    async def on_event(event: dict[str, Any]) -> None:
        tries.append(event["id"])
        if len(tries) < 4:
            raise ConnectionError("the database is away")
        done.set()

    await asyncio.to_thread(publish, redis_url, *numbered(1))
    async with asyncio.timeout(PATIENCE):
        await subscription.run(done)
    assert tries == ["1"] * 4
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert not await client.exists(dead_letters(TASKS, GROUP))


def test_a_subscriber_can_be_stopped_while_redis_hangs(failing_redis: FailingRedis, tmp_path: Path) -> None:
    """SIGTERM ends it in order, within seconds, though Redis takes connections and answers nothing."""
    publish(failing_redis.url, *numbered(1))
    with listening(failing_redis.url, GROUP, tmp_path / "notes") as listener:
        await_ids(tmp_path / "notes", [1])
        failing_redis.hang()
        listener.process.send_signal(signal.SIGTERM)
        assert listener.process.wait(PATIENCE) == 0


async def test_making_a_group_twice_makes_it_once(redis_url: str) -> None:
    """The second call says that it was there, and does not set it back."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert await ensure_group(client, TASKS, GROUP)
        await client.xadd(TASKS, {"a": "b"})
        assert not await ensure_group(client, TASKS, GROUP)
        (group,) = await client.xinfo_groups(TASKS)
        assert group["last-delivered-id"] == b"0-0"
        await client.set("text", "no stream")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await ensure_group(client, "text", GROUP)
