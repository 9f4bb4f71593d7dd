"""What is published is the log, whoever reads it: FastStream, a plain client, the CloudEvents SDK."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import redis
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from faststream.redis import RedisBroker, StreamSub

from services.status.publishing import StreamPublisher
from services.status.settings import StatusSettings
from shared.documents import event_document
from shared.domain.events import EVENTS
from shared.log.event_log import EventLog
from shared.log.runs import Recorded
from shared.published.entries import FIELD, event_in
from shared.published.streams import SCHEDULES, STREAMS, TASKS, stream_of
from shared.published.subscription import Subscription
from tests.builders import PARALLEL_PLAN
from tests.event_samples import sampled_events
from tests.histories import ACTIONS, GO_ON, STAGE_ACTIONS, write_history
from tests.published import as_logged, published
from tests.schedule_histories import SCHEDULE_ACTIONS, schedules_at_work

SEED = 7
ROUNDS = 100
MOVES = 80
LEAST = 5_000
"""How many events the generated day has at least."""
BATCH = 500

Entry = tuple[bytes, dict[bytes, bytes]]


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """An empty log."""
    with EventLog(migrated_database_url) as log:
        yield log


def write_day(log: EventLog, *, rounds: int = ROUNDS) -> None:
    """Append a day of runs, of stages and of schedules, as they may interleave."""
    chance = random.Random(SEED)
    actions = (*ACTIONS, *STAGE_ACTIONS, GO_ON)
    for _ in range(rounds):
        moves = [(chance.randrange(4), chance.choice(actions)) for _ in range(MOVES)]
        write_history(log, moves, topics=EVENTS.topics, steps=PARALLEL_PLAN)
        turns = [(chance.randrange(3), chance.choice(SCHEDULE_ACTIONS)) for _ in range(MOVES)]
        for events in schedules_at_work(turns):
            log.append(events)


def relay(redis_url: str, batches: Sequence[Sequence[Recorded]]) -> None:
    """Publish batches as the relay does."""
    retention = StatusSettings(database_url="postgresql://").stream_retention
    streams = StreamPublisher(redis_url, retention=retention, max_length=100_000)
    try:
        streams.claim(0, found=None)
        position = 0
        for batch in batches:
            streams.publish(batch, after=position)
            position = batch[-1].position
    finally:
        streams.close()


def relay_log(redis_url: str, log: EventLog) -> None:
    """Publish the whole log."""
    recorded = log.read(0, limit=100_000)
    relay(redis_url, [recorded[start : start + BATCH] for start in range(0, len(recorded), BATCH)])


def read_plainly(redis_url: str, stream: str) -> list[Entry]:
    """Every entry of a stream, by XREAD, a page at a time."""
    entries: list[Entry] = []
    with redis.Redis.from_url(redis_url) as client:
        while page := client.xread({stream: entries[-1][0] if entries else b"0"}, count=BATCH):
            ((_, found),) = page
            entries += found
    return entries


@asynccontextmanager
async def subscribed(redis_url: str, group: str, wanted: int) -> AsyncIterator[list[dict[str, Any]]]:
    """What a fresh consumer group is given, once it has been given so many."""
    events: list[dict[str, Any]] = []
    done = asyncio.Event()
    subscription = Subscription(redis_url, group=group)

    @subscription.handler(*STREAMS)
    async def on_event(event: dict[str, Any]) -> None:
        events.append(event)
        if len(events) == wanted:
            done.set()

    async with asyncio.timeout(120):
        await subscription.run(done)
    yield events


def test_a_day_replayed_by_a_fresh_consumer_with_the_cloudevents_sdk_is_the_log(redis_url: str, log: EventLog) -> None:
    """Position, type, time, subject and data of each event, in order; the SDK refuses what is no CloudEvent."""
    write_day(log)
    relay_log(redis_url, log)
    wanted = log.read(0, limit=100_000)
    assert len(wanted) > LEAST
    found: list[CloudEvent] = []
    for stream in STREAMS:
        for _, fields in read_plainly(redis_url, stream):
            message = fields[FIELD]
            event = JSONFormat().read(CloudEvent, message[int.from_bytes(message[14:18], "big") :])
            assert isinstance(event, CloudEvent)
            found.append(event)
    found.sort(key=lambda event: int(event.get_extension("position")))
    assert [_told(event) for event in found] == [_recorded(each) for each in wanted]
    assert len({(event.get_source(), event.get_id()) for event in found}) == len(wanted)


def _told(event: CloudEvent) -> tuple[Any, ...]:
    kind = event.get_type().removeprefix("blotter.")
    return event.get_extension("position"), kind, event.get_time(), event.get_extension("actor"), event.get_data()


def _recorded(recorded: Recorded) -> tuple[Any, ...]:
    document = event_document(recorded)
    return recorded.position, document["type"], recorded.event.at, document["actor"], _plain(document["data"])


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case UUID():
            return str(value)
    return value


async def test_a_subscription_a_bare_faststream_subscriber_and_xread_agree(redis_url: str, log: EventLog) -> None:
    """The same events in the same order by three ways of reading, and as the log has them."""
    await asyncio.to_thread(write_day, log, rounds=5)
    await asyncio.to_thread(relay_log, redis_url, log)
    wanted = as_logged(log)
    assert all(wanted[stream] for stream in (TASKS, SCHEDULES))
    assert published(redis_url) == wanted
    async with subscribed(redis_url, "desk.all", sum(map(len, wanted.values()))) as events:
        for stream in STREAMS:
            of_stream = [event for event in events if stream_of(event["type"].removeprefix("blotter.")) == stream]
            assert of_stream == wanted[stream]
    assert await _bare(redis_url, TASKS, len(wanted[TASKS])) == wanted[TASKS]


async def _bare(redis_url: str, stream: str, count: int) -> list[Any]:
    """Read a stream from its beginning with FastStream alone, and look at what it makes of the headers."""
    async with RedisBroker(redis_url) as broker:
        subscriber = broker.subscriber(stream=StreamSub(stream, last_id="0"), persistent=False)
        await subscriber.start()
        events = []
        for _ in range(count):
            message = await subscriber.get_one(timeout=10)
            assert message is not None
            event = await message.decode()
            assert isinstance(event, dict)
            assert (message.message_id, message.correlation_id) == (event["id"], event["id"])
            assert message.headers.get("traceparent") == event.get("traceparent")
            events.append(event)
        return events


def test_an_event_of_every_kind_and_version_is_published_whole(redis_url: str) -> None:
    """The frozen samples of all that a log may hold: each goes to its stream and comes back as it was."""
    recorded = [Recorded(number, event) for number, event in enumerate(sampled_events(), start=1)]
    assert {each.event.TOPIC for each in recorded} == set(EVENTS.topics)
    relay(redis_url, [recorded])
    found = {
        event_in(fields)["position"]: (stream, event_in(fields))
        for stream in STREAMS
        for _, fields in read_plainly(redis_url, stream)
    }
    for each in recorded:
        stream, event = found[each.position]
        assert stream == stream_of(each.event.TOPIC)
        assert event["data"] == _plain(event_document(each)["data"])
