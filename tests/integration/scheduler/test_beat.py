"""Beat as a process: on a real log, with a real Redis that may be away."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from infra.local.ports import free_port
from infra.local.postgres import start_postgres
from infra.migrations.migrate import migrate
from shared.domain.events import Stamp
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import Overlap
from shared.domain.timing import When
from shared.heartbeats import SCHEDULER_KEY
from shared.log.event_log import EventLog
from shared.routing import MAINTENANCE, PROBE_PROJECTION_LAG
from tests import servers
from tests.failing_redis import FailingRedis
from tests.integration.scheduler.desk import publish
from tests.schedule_builders import definition
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parents[3]
STOP_SECONDS = 10
PROBES = {"BLOTTER_PROBE_EVERY": "PT0.5S"}

Start = Callable[[str, str], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts scheduler processes that probe twice a second; all of them are killed at the end."""
    with ExitStack() as stack:

        def begin(database_url: str, redis_url: str) -> subprocess.Popen[bytes]:
            environment = {**os.environ, **PROBES, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
            process = subprocess.Popen([sys.executable, "-m", "services.scheduler"], cwd=CHECKOUT, env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield begin


@contextmanager
def opened(database_url: str) -> Iterator[EventLog]:
    """A log with a catalogue."""
    with EventLog(database_url) as log:
        publish(log, "sma-crossover")
        yield log


def each_second(log: EventLog) -> Schedule:
    """Write a schedule that is due each second."""
    made = Schedule.create(
        uuid4(),
        Stamp(at=log.now(), actor="user:ada"),
        definition=definition(when=When(every_seconds=1.0), overlap=Overlap.ALLOW_ALL),
        user_id="ada",
    )
    log.append(made.collect_events())
    return made


def fired(log: EventLog, of: Schedule) -> int:
    """How many times it has fired."""
    return log.schedule(of.id).state.fired


def fires_again(log: EventLog, of: Schedule, *, seconds: float) -> None:
    """Wait until it has fired twice more."""
    before = fired(log, of)
    until(lambda: fired(log, of) >= before + 2, seconds=seconds, hint="nothing fires")


def test_beat_sends_its_probe_and_says_that_it_is_alive(
    start: Start, migrated_database_url: str, redis_url: str
) -> None:
    """The message is in the queue of maintenance, and the sign of life goes away with the process."""
    beat = start(migrated_database_url, redis_url)
    client = redis.Redis.from_url(redis_url)
    raw = until(lambda: client.lindex(MAINTENANCE, 0), hint="no probe was sent")

    assert isinstance(raw, bytes)
    assert json.loads(raw)["headers"]["task"] == PROBE_PROJECTION_LAG
    assert 0 < int(client.pttl(SCHEDULER_KEY)) <= 5000
    beat.send_signal(signal.SIGTERM)
    beat.wait(STOP_SECONDS)
    until(lambda: not client.exists(SCHEDULER_KEY), hint="the sign of life stays")


def test_of_two_beats_one_sends_the_probes(start: Start, migrated_database_url: str, redis_url: str) -> None:
    """And the other one as soon as the first is gone."""
    client = redis.Redis.from_url(redis_url)
    first = start(migrated_database_url, redis_url)
    until(lambda: client.llen(MAINTENANCE), hint="no probe was sent")
    start(migrated_database_url, redis_url)
    with opened(migrated_database_url) as log:
        of = each_second(log)
        until(lambda: fired(log, of) >= 3, hint="nothing fires")
    sent = [json.loads(raw)["headers"]["origin"] for raw in client.lrange(MAINTENANCE, 0, -1)]
    assert len(set(sent)) == 1
    first.kill()
    first.wait()
    until(
        lambda: len({json.loads(raw)["headers"]["origin"] for raw in client.lrange(MAINTENANCE, 0, -1)}) == 2,
        hint="the second beat does not move up",
    )


def test_a_new_schedule_and_a_change_act_without_a_restart(
    start: Start, migrated_database_url: str, redis_url: str
) -> None:
    """Within a second: it fires at its next time, and not any more once it is disabled."""
    client = redis.Redis.from_url(redis_url)
    start(migrated_database_url, redis_url)
    until(lambda: client.llen(MAINTENANCE), hint="beat does not begin")
    with opened(migrated_database_url) as log:
        of = each_second(log)
        until(lambda: fired(log, of) >= 2, hint="nothing fires")
        late = [event.at - event.nominal_at for event in log.stream(of.id) if hasattr(event, "nominal_at")]
        assert max(late) < timedelta(seconds=1)
        mine = log.schedule(of.id)
        mine.disable(Stamp(at=log.now(), actor="user:ada"))
        log.append(mine.collect_events())
        at_the_end = fired(log, of)
        other = each_second(log)
        until(lambda: fired(log, other) >= 2, hint="nothing fires")
        assert fired(log, of) == at_the_end


def test_schedules_fire_while_redis_does_not_answer(
    start: Start, migrated_database_url: str, failing_redis: FailingRedis
) -> None:
    """A Redis that takes connections and says nothing, which is worse than none: the log is all that firing needs."""
    with opened(migrated_database_url) as log:
        start(migrated_database_url, failing_redis.url)
        of = each_second(log)
        until(lambda: fired(log, of) >= 1, seconds=20, hint="nothing fires")
        failing_redis.hang()
        for _ in range(3):
            fires_again(log, of, seconds=4)


def test_beat_outlives_its_database(start: Start, redis_url: str) -> None:
    """PostgreSQL is killed and comes back: every second since the first is settled once, by the same process."""
    with servers.open_folder() as folder:
        port = free_port()
        postgres = start_postgres(folder, port=port, log=folder / "postgres.log")
        try:
            migrate(postgres.url)
            beat = start(postgres.url, redis_url)
            with opened(postgres.url) as log:
                of = each_second(log)
                until(lambda: fired(log, of) >= 2, seconds=20, hint="nothing fires")
            postgres.process.kill()
            postgres.process.wait()
            postgres = start_postgres(folder, port=port, log=folder / "postgres.log")
            with EventLog(postgres.url) as log:
                fires_again(log, of, seconds=20)
                times = [event.nominal_at for event in log.stream(of.id) if hasattr(event, "nominal_at")]
            assert times == [times[0] + timedelta(seconds=number) for number in range(len(times))]
            assert beat.poll() is None
        finally:
            postgres.stop()
