"""From the log to two consumer groups, all in processes: whoever is killed, each group is given every event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from services.status.settings import StatusSettings
from shared.log.event_log import EventLog
from shared.published.streams import TASKS
from tests.builders import running
from tests.integration.published.listener import Listener, handled, listening
from tests.integration.status.test_processes import process
from tests.published import as_logged
from tests.waiting import until

PATIENCE = 60.0
RUNS = 40
TEN_YEARS = str(10 * 365 * 86_400)


@pytest.fixture
def settings(migrated_database_url: str, redis_url: str, tmp_path: Path) -> StatusSettings:
    """Settings that name this test's database and Redis."""
    return StatusSettings(database_url=migrated_database_url, redis_url=redis_url, home=tmp_path)


@pytest.fixture
def log(settings: StatusSettings) -> Iterator[EventLog]:
    """The log that is published."""
    with EventLog(settings.database_url) as log:
        yield log


def append(log: EventLog, count: int, **labels: str) -> None:
    """Append runs of two events."""
    for _ in range(count):
        log.save_execution(running(labels=labels))


def missing(log: EventLog, *notes: Path) -> list[str]:
    """The events that the processes of a group have not handled between them."""
    found = {event["id"] for each in notes for event in handled(each)}
    return [event["id"] for event in as_logged(log)[TASKS] if event["id"] not in found]


def test_two_groups_get_every_event_while_relay_and_subscriber_are_killed_and_redis_is_wiped(
    settings: StatusSettings, log: EventLog, tmp_path: Path
) -> None:
    """One subscriber dies in the middle of a message, the relay dies, Redis is wiped: nobody misses anything."""
    one, again, other = tmp_path / "one", tmp_path / "again", tmp_path / "other"
    for each in (again, other):
        each.with_suffix(".stalled").touch()  # these two are not told to hang
    with ExitStack() as stack:

        def start_relay() -> Listener:
            relay = process("services.status.relay", settings, BLOTTER_STREAM_RETENTION_SECONDS=TEN_YEARS)
            return Listener(stack.enter_context(relay), tmp_path)

        def subscribe(group: str, notes: Path) -> Listener:
            return stack.enter_context(listening(settings.redis_url, group, notes, consumer=notes.name))

        relay = start_relay()
        doomed = subscribe("desk.one", one)
        subscribe("desk.other", other)
        append(log, RUNS)
        append(log, 1, stall="yes")
        append(log, RUNS)
        until(lambda: doomed.stalled, seconds=PATIENCE)
        doomed.kill()
        subscribe("desk.one", again)
        until(lambda: not missing(log, one, again), seconds=PATIENCE)
        until(lambda: not missing(log, other), seconds=PATIENCE)

        relay.kill()
        append(log, RUNS)
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushdb()
        start_relay()
        append(log, RUNS)
        until(lambda: not missing(log, one, again), seconds=PATIENCE)
        until(lambda: not missing(log, other), seconds=PATIENCE)
    positions = [event["position"] for event in handled(other)]
    assert positions != sorted(positions), "after the wipe the streams began again"
    assert all(event in as_logged(log)[TASKS] for event in handled(other))
