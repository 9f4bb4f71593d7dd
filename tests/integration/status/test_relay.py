"""The relay as a process: what it publishes is the log, whoever dies, and whatever becomes of Redis."""

from __future__ import annotations

import signal
import subprocess
from contextlib import AbstractContextManager, ExitStack

import psycopg
import pytest
import redis

from services.status.publishing import POSITION_KEY
from services.status.relay import RELAY
from services.status.settings import StatusSettings
from shared.log.event_log import EventLog
from shared.log.follower import IS_ACTIVE, lock_key
from shared.published.streams import OPERATIONS, SCHEDULES, TASKS
from tests.builders import at_join, complete_all, complete_member, running, stamp
from tests.failing_redis import FailingRedis
from tests.integration.scheduler.desk import publish
from tests.integration.status.test_processes import process
from tests.published import as_logged, first_times, published
from tests.schedule_builders import schedule
from tests.waiting import until
from tests.writers import start_writer

PATIENCE = 30.0
WRITERS = 4
APPENDS = 150


@pytest.fixture
def settings(settings: StatusSettings) -> StatusSettings:
    """Settings under which the builders' events, which are of a fixed day, are not too old to be published."""
    return settings.model_copy(update={"stream_retention_seconds": 10 * 365 * 86_400.0})


def relaying(
    settings: StatusSettings, *, module: str = "services.status.relay", **environment: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A relay for as long as the context lasts."""
    retention = str(settings.stream_retention_seconds)
    return process(module, settings, BLOTTER_STREAM_RETENTION_SECONDS=retention, **environment)


def append_runs(log: EventLog, count: int) -> None:
    """Append runs of two events."""
    for _ in range(count):
        log.save_execution(running())


def committed(settings: StatusSettings) -> int:
    """How far the relay has come."""
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute("SELECT position FROM status.positions WHERE follower = %s", [RELAY]).fetchone()
    return int(row[0]) if row else 0


def await_published(settings: StatusSettings, log: EventLog) -> None:
    """Wait until each stream holds, repetitions passed over, what the log has for it, in its order."""

    def is_published() -> bool:
        found, wanted = published(settings.redis_url), as_logged(log)
        return {name: first_times(events) for name, events in found.items()} == wanted

    until(is_published, seconds=PATIENCE, every=0.2)


def test_every_event_is_published_to_its_stream_in_the_order_of_the_log(
    settings: StatusSettings, log: EventLog
) -> None:
    """Runs, branches, schedules and a catalogue, some before the relay starts and some after; SIGTERM ends it."""
    publish(log, "sma-crossover")
    log.append(schedule().collect_events())
    run = at_join()
    log.save_execution(run)
    with relaying(settings) as relay:
        await_published(settings, log)
        complete_member(run, "AAPL", stamp(6))
        log.save_execution(run)
        await_published(settings, log)
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(10) == 0
    found = published(settings.redis_url)
    assert found == as_logged(log), "nothing was repeated"
    assert {event["type"] for event in found[SCHEDULES]} == {"blotter.schedule.created"}
    assert {event["type"] for event in found[OPERATIONS]} == {"blotter.catalogue.published"}
    assert {"blotter.execution.submitted", "blotter.branch.completed"} <= {e["type"] for e in found[TASKS]}


def test_a_relay_that_dies_between_publishing_and_its_position_repeats_and_loses_nothing(
    settings: StatusSettings, log: EventLog
) -> None:
    """It is killed with its second batch in the streams; the next relay publishes that batch once more."""
    append_runs(log, 300)
    with relaying(settings, module="tests.integration.status.doomed_relay", DIES_AT="2") as doomed:
        assert doomed.wait(PATIENCE) == -signal.SIGKILL
    assert len(published(settings.redis_url)[TASKS]) == 600, "the second batch is in the stream"
    assert committed(settings) == 500, "and its position is not committed"
    append_runs(log, 10)
    with relaying(settings):
        await_published(settings, log)
    repeated = [event["position"] for event in published(settings.redis_url)[TASKS]]
    assert repeated == [*range(1, 601), *range(501, 621)]


def test_what_four_writers_append_is_published_in_order_for_each_task(settings: StatusSettings, log: EventLog) -> None:
    """Positions rise along the stream, so that the events of each task do, while four processes append at once."""
    with relaying(settings), ExitStack() as stack:
        writers = [start_writer(settings.database_url, APPENDS) for _ in range(WRITERS)]
        for writer in writers:
            stack.callback(writer.kill)
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            writer.communicate(b"\n", timeout=PATIENCE)
        await_published(settings, log)
    events = published(settings.redis_url)[TASKS]
    assert len(events) == WRITERS * APPENDS * 2
    positions = [event["position"] for event in events]
    assert positions == sorted(positions)


def test_what_a_wiped_redis_has_lost_is_published_again(settings: StatusSettings, log: EventLog) -> None:
    """Wiped while events come in, and once more while nobody relays: the streams are whole again each time."""
    with redis.Redis.from_url(settings.redis_url) as client:
        with relaying(settings):
            writer = start_writer(settings.database_url, APPENDS)
            writer.communicate(b"\n" * 2, timeout=PATIENCE)
            until(lambda: client.xlen(TASKS), seconds=PATIENCE)
            client.flushdb()
            append_runs(log, 10)
            await_published(settings, log)
        client.flushdb()
        append_runs(log, 10)
        with relaying(settings):
            await_published(settings, log)


@pytest.fixture
def failing(settings: StatusSettings, failing_redis: FailingRedis) -> StatusSettings:
    """The same settings, with a Redis of which anything may become."""
    return settings.model_copy(update={"redis_url": failing_redis.url})


def test_the_relay_outlives_a_redis_that_is_killed_and_comes_back(
    failing: StatusSettings, failing_redis: FailingRedis, log: EventLog
) -> None:
    """What happens meanwhile is published when it is back; nothing that it kept is published again."""
    with relaying(failing) as relay:
        append_runs(log, 10)
        await_published(failing, log)
        failing_redis.kill()
        append_runs(log, 10)
        failing_redis.start()
        await_published(failing, log)
        assert relay.poll() is None
    assert published(failing.redis_url) == as_logged(log)


def test_a_redis_that_is_set_back_gets_what_it_has_lost_and_no_more(
    failing: StatusSettings, failing_redis: FailingRedis, log: EventLog
) -> None:
    """Restored from a copy of an hour ago, say: the streams say themselves how far they go."""
    with relaying(failing):
        append_runs(log, 10)
        await_published(failing, log)
        failing_redis.stop()
        failing_redis.save()
        failing_redis.start()
        append_runs(log, 10)
        await_published(failing, log)
        failing_redis.stop()
        failing_redis.restore()
        failing_redis.start()
        await_published(failing, log)
    assert published(failing.redis_url) == as_logged(log)


def test_a_full_redis_holds_the_relay_up_and_no_event_is_lost_or_out_of_order(
    failing: StatusSettings, failing_redis: FailingRedis, log: EventLog
) -> None:
    """Redis refuses to grow, as it is told to; when it has room again, the relay goes on where it was."""
    with redis.Redis.from_url(failing_redis.url) as client, relaying(failing):
        append_runs(log, 10)
        await_published(failing, log)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
        append_runs(log, 300)
        until(lambda: b"OOM" in _errors(client), seconds=PATIENCE)
        client.config_set("maxmemory", 0)
        await_published(failing, log)
        assert int(client.get(POSITION_KEY) or 0) == log.head()
    assert published(failing.redis_url) == as_logged(log)


def test_the_relay_can_be_stopped_while_redis_hangs(
    failing: StatusSettings, failing_redis: FailingRedis, log: EventLog
) -> None:
    """SIGTERM ends it within the time that the stack gives it, and what it was about to publish comes later."""
    with relaying(failing) as relay:
        append_runs(log, 1)
        await_published(failing, log)
        failing_redis.hang()
        append_runs(log, 1)
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(10) == 0
        failing_redis.go_on()
    with relaying(failing):
        await_published(failing, log)


def _errors(client: redis.Redis) -> bytes:
    return b" ".join(name.encode() for name in client.info("errorstats"))


def test_a_second_relay_stands_by_and_takes_over(settings: StatusSettings, log: EventLog) -> None:
    """Two at once publish nothing twice; when the first is killed, the second goes on."""

    def leader() -> int:
        with psycopg.connect(settings.database_url) as connection:
            row = connection.execute(IS_ACTIVE, [lock_key(RELAY)]).fetchone()
        return bool(row and row[0])

    with relaying(settings) as first, relaying(settings):
        until(leader, seconds=PATIENCE)
        append_runs(log, 20)
        await_published(settings, log)
        assert published(settings.redis_url) == as_logged(log)
        first.kill()
        append_runs(log, 20)
        await_published(settings, log)


def test_a_finished_run_s_last_event_is_published(settings: StatusSettings, log: EventLog) -> None:
    """A whole run, to its end."""
    run = running()
    complete_all(run)
    log.save_execution(run)
    with relaying(settings):
        await_published(settings, log)
    assert published(settings.redis_url)[TASKS][-1]["type"] == "blotter.execution.succeeded"
