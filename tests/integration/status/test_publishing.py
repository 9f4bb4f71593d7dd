"""Streams on a real Redis: what they hold, who may add to them, how they are kept small, where the relay goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
import redis
import sqlalchemy as sa

from services.status.publishing import POSITION_KEY, StreamPublisher, StreamsMoved
from services.status.relay import RELAY, Relay
from services.status.settings import StatusSettings
from services.status.tables import positions
from shared.domain.events import Stamp
from shared.log.event_log import EventLog
from shared.log.moments import position_at
from shared.log.positions import read_position
from shared.published.streams import TASKS
from tests.builders import running, submitted
from tests.published import published
from tests.waiting import until

RETENTION = timedelta(days=7)
NODE = 100
"""How many entries Redis keeps in a node of a stream at most; what is trimmed are whole nodes."""

Answer = TypeVar("Answer")


@pytest.fixture
def client(settings: StatusSettings) -> Iterator[redis.Redis]:
    """A plain client of the test's Redis."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@contextmanager
def publisher(
    settings: StatusSettings, *, retention: timedelta = RETENTION, max_length: int = 100_000
) -> Iterator[StreamPublisher]:
    """A publisher for as long as the context lasts."""
    streams = StreamPublisher(settings.redis_url, retention=retention, max_length=max_length)
    try:
        yield streams
    finally:
        streams.close()


def append(log: EventLog, count: int, *, age: timedelta = timedelta()) -> int:
    """Append submissions of some age, one event each, and return the position of the last one."""
    at = Stamp(at=datetime.now(UTC) - age, actor="user:ada")
    return max(log.save_execution(submitted(at=at))[-1] for _ in range(count))


def test_old_entries_leave_and_young_ones_stay(settings: StatusSettings, log: EventLog, client: redis.Redis) -> None:
    """Older than the retention by the clock of Redis; what cannot leave alone stays with its node."""
    append(log, 300)
    with publisher(settings, retention=timedelta(seconds=1)) as streams:
        streams.claim(0, found=None)
        batch = log.read(0)
        streams.publish(batch, after=0)
        assert streams.trim() == 0
        until(lambda: streams.trim() > 0, seconds=10.0)
        until(lambda: streams.trim() == 0, seconds=10.0)
        assert client.xlen(TASKS) < NODE
        last = append(log, 1)
        streams.publish(log.read(batch[-1].position), after=batch[-1].position)
        streams.trim()
        assert published(settings.redis_url)[TASKS][-1]["position"] == last


def test_a_stream_keeps_about_as_many_entries_as_it_may(
    settings: StatusSettings, log: EventLog, client: redis.Redis
) -> None:
    """The newest ones, whatever the retention: Redis has little memory and refuses to grow beyond it."""
    append(log, 1_500)
    position = 0
    with publisher(settings, max_length=1_000) as streams:
        streams.claim(0, found=None)
        while batch := log.read(position):
            streams.publish(batch, after=position)
            position = batch[-1].position
    assert 1_000 <= int(client.xlen(TASKS)) <= 1_000 + NODE
    assert published(settings.redis_url)[TASKS][-1]["position"] == position


def test_a_relay_trims_as_it_goes(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """A quiet one does so too: its ticks remove what has become too old."""
    append(log, 300)
    with publisher(settings, retention=timedelta(milliseconds=1)) as streams:
        relay = Relay(log, engine, streams, retention=RETENTION)
        relay.process(log.read(relay.start()))
        first = relay.tick()
    assert first is not None
    assert first <= timedelta(seconds=1)
    assert client.xlen(TASKS) < NODE


def test_a_publisher_that_was_overtaken_adds_nothing(settings: StatusSettings, log: EventLog) -> None:
    """Two that believe to be the only one: the streams take from the one that knows where they end."""
    append(log, 3)
    first, second, third = log.read(0)
    with publisher(settings) as one, publisher(settings) as other:
        one.claim(0, found=None)
        one.publish([first], after=0)
        other.publish([second], after=first.position)
        with pytest.raises(StreamsMoved):
            one.publish([second, third], after=first.position)
        with pytest.raises(StreamsMoved):
            one.claim(0, found=first.position)
    events = published(settings.redis_url)[TASKS]
    assert [event["position"] for event in events] == [first.position, second.position]


def test_a_wipe_between_a_look_and_a_batch_is_not_covered_up(
    settings: StatusSettings, log: EventLog, client: redis.Redis
) -> None:
    """The batch is refused: with it, the streams would say that they hold what came before."""
    append(log, 2)
    first, second = log.read(0)
    with publisher(settings) as streams:
        streams.claim(0, found=None)
        streams.publish([first], after=0)
        client.flushdb()
        with pytest.raises(StreamsMoved):
            streams.publish([second], after=first.position)
        assert streams.position() is None
    assert client.dbsize() == 0


def test_a_quiet_relay_notices_a_wipe(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """Its tick fails, so that it starts again and publishes what was lost."""
    append(log, 2)
    with publisher(settings) as streams:
        relay = Relay(log, engine, streams, retention=RETENTION)
        relay.process(log.read(relay.start()))
        relay.tick()
        client.flushdb()
        until(lambda: _raises(StreamsMoved, relay.tick), seconds=5.0)
        assert relay.start() == 0
        assert client.get(POSITION_KEY) == b"0"


def _raises(kind: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


def test_a_redis_that_is_away_does_not_end_a_quiet_relay(
    settings: StatusSettings, log: EventLog, engine: sa.Engine
) -> None:
    """There is nothing to publish; it looks again later."""
    with publisher(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})) as streams:
        relay = Relay(log, engine, streams, retention=RETENTION)
        assert relay.tick() is not None
        with pytest.raises(redis.ConnectionError):
            relay.start()


def started_at(settings: StatusSettings, log: EventLog, engine: sa.Engine, *remembered: int | None) -> int:
    """Where a relay starts, beside subscribers that remember these positions."""
    with publisher(settings) as streams:
        return Relay(
            log,
            engine,
            streams,
            retention=RETENTION,
            remembered=[lambda _, position=position: position for position in remembered],  # type: ignore[misc]
        ).start()


def test_the_first_relay_of_an_old_log_begins_with_what_is_young_enough(
    settings: StatusSettings, log: EventLog, engine: sa.Engine
) -> None:
    """Nobody has been promised the events of the years before."""
    old = append(log, 5, age=timedelta(days=8))
    append(log, 3, age=timedelta(days=6))
    assert started_at(settings, log, engine) == old
    with engine.connect() as connection:
        assert read_position(connection, positions, RELAY) == old


def test_after_a_wipe_it_goes_back_to_what_is_young_enough_or_to_what_a_subscriber_of_ours_needs(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """Whichever comes first; a subscriber that has not begun, or is ahead, makes no difference."""
    old = append(log, 5, age=timedelta(days=8))
    last = append(log, 3)
    with publisher(settings) as streams:
        relay = Relay(log, engine, streams, retention=RETENTION)
        relay.process(log.read(relay.start()))
    for remembered, expected in (((), old), ((None,), old), ((last,), old), ((2, None, last), 2)):
        client.flushdb()
        assert started_at(settings, log, engine, *remembered) == expected
        assert published(settings.redis_url)[TASKS] == []


def test_what_was_never_published_is_published_however_old_it_is(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """The relay was away for longer than the retention, and Redis was wiped meanwhile."""
    reached = append(log, 5, age=timedelta(days=20))
    with publisher(settings) as streams:
        relay = Relay(log, engine, streams, retention=timedelta(days=30))
        relay.process(log.read(relay.start()))
    client.flushdb()
    append(log, 5, age=timedelta(days=10))
    append(log, 1)
    assert started_at(settings, log, engine) == reached


def test_a_time_is_found_in_the_log_by_halving(log: EventLog) -> None:
    """Before, between and after the events, and in an empty log."""
    moment = datetime.now(UTC)
    assert position_at(log, moment) == 0
    ages = [timedelta(minutes=minutes) for minutes in (50, 40, 40, 30, 20, 10)]
    last = [append(log, 1, age=age) for age in ages]
    for at, expected in ((60, 0), (45, last[0]), (35, last[2]), (25, last[3]), (15, last[4]), (5, last[5])):
        assert position_at(log, moment - timedelta(minutes=at)) == expected


def test_a_position_that_another_process_moves_meanwhile_is_not_set_back(
    settings: StatusSettings, log: EventLog, engine: sa.Engine, client: redis.Redis
) -> None:
    """Two relays at once, as after a lock that was lost: of their threads one goes on, and nothing is lost."""
    log.save_execution(running())
    refused: list[str] = []

    def relay_all() -> None:
        with publisher(settings) as streams:
            relay = Relay(log, engine, streams, retention=timedelta(days=3650))
            try:
                relay.process(log.read(relay.start()))
            except Exception as error:
                refused.append(type(error).__name__)

    threads = [threading.Thread(target=relay_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert set(refused) <= {"StreamsMoved", "AlreadyProcessed"}
    ids = {event["id"] for event in published(settings.redis_url)[TASKS]}
    assert len(ids) == 2
    assert int(client.get(POSITION_KEY) or 0) == log.head()
