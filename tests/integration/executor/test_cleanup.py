"""The clean-up on a real log, with a real Redis and objects in a folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis

from services.executor import maintenance, process
from services.executor.cleanup import NAME, CleanedUp, Cleanup, CleanupError, clean_up
from services.executor.expiry import ExpiredExecutions
from services.executor.result_sweep import ResultSweep
from services.executor.retention_record import RetentionRecord
from services.executor.settings import ExecutorSettings
from shared.domain.retention_events import CleanupFinished, ExecutionsExpired
from shared.log.event_log import EventLog
from shared.log.follower import lock_key
from shared.objects import open_store
from shared.result_backend import result_key
from tests.builders import NOW, complete_all, complete_next, running, stamp, submitted
from tests.contract.object_stores import in_folder
from tests.waiting import until

DAY = timedelta(days=1)


@pytest.fixture
def settings(
    migrated_database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ExecutorSettings:
    """Settings of a worker, from the environment."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("BLOTTER_HOME", str(tmp_path))
    monkeypatch.delenv("BLOTTER_OBJECTS_URL", raising=False)
    monkeypatch.setenv("BLOTTER_LOG_LEVEL", "WARNING")
    return ExecutorSettings()


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """An empty log."""
    with EventLog(migrated_database_url) as log:
        yield log


def ended(log: EventLog, day: float) -> None:
    """Record a run that began and ended some days after NOW."""
    run = submitted(at=stamp(day * 86_400))
    run.claim(stamp(day * 86_400 + 1), attempt=1, worker="w")
    complete_all(run, stamp(day * 86_400 + 2))
    log.save_execution(run)


def expiry(log: EventLog, day: float, *, keep: float = 90) -> ExpiredExecutions:
    """The kind, some days after NOW."""
    return ExpiredExecutions(log, RetentionRecord(log, now=lambda: NOW + day * DAY), keep=keep * DAY)


def expired(log: EventLog) -> list[ExecutionsExpired]:
    """What the log says of rows that go."""
    found = [each.event for each in log.read(0, topics=[ExecutionsExpired.TOPIC])]
    return [event for event in found if isinstance(event, ExecutionsExpired)]


def test_rows_go_when_the_last_event_of_their_run_is_old_enough(log: EventLog) -> None:
    """Each night those that have come of age since the last one; a night without any is not on record."""
    for day in (0, 1, 1, 5):
        ended(log, day)
    assert expiry(log, 89).run(dry_run=False) == {"expired": 0}
    assert expiry(log, 91.5).run(dry_run=True) == {"expired": 3}
    assert expired(log) == []
    assert expiry(log, 90.5).run(dry_run=False) == {"expired": 1}
    assert expiry(log, 91.5).run(dry_run=False) == {"expired": 2}
    assert expiry(log, 91.5).run(dry_run=False) == {"expired": 0}
    first, second = expired(log)
    assert (first.before, second.before) == (NOW + 0.5 * DAY, NOW + 1.5 * DAY)
    assert first.through < second.through < log.head()


def test_a_run_that_went_on_counts_once_when_it_has_ended_again(log: EventLog) -> None:
    """Not with its first end, nor while it has none."""
    run = submitted(at=stamp())
    run.request_cancel(stamp(1), reason="enough")
    run.retry_now(stamp(2))
    log.save_execution(run)
    ended(log, 0.1)
    assert expiry(log, 95).run(dry_run=True) == {"expired": 1}
    run.request_cancel(stamp(3), reason="enough")
    log.save_execution(run)
    assert expiry(log, 95).run(dry_run=True) == {"expired": 2}


def test_a_result_without_a_time_to_live_gets_one(redis_url: str) -> None:
    """A result that would stay for ever goes after a day; another keeps the time that it has."""
    client = redis.Redis.from_url(redis_url)
    client.set(result_key("forever"), "{}")
    client.set(result_key("short"), "{}", ex=60)
    client.set("somebody-elses", "{}")
    sweep = ResultSweep(client, ttl_seconds=86_400)
    assert sweep.run(dry_run=True) == {"found": 2, "given_a_time_to_live": 1}
    assert client.ttl(result_key("forever")) == -1
    assert sweep.run(dry_run=False) == {"found": 2, "given_a_time_to_live": 1}

    assert 86_390 < int(client.ttl(result_key("forever"))) <= 86_400
    assert 0 < int(client.ttl(result_key("short"))) <= 60
    assert client.ttl("somebody-elses") == -1


class Counting:
    """A kind that counts how often it was dealt with, and calls `on_run`."""

    def __init__(self, name: str, on_run: Callable[[], object] = int) -> None:
        """Nothing has happened yet."""
        self.name = name
        self.runs: list[bool] = []
        self._on_run = on_run

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Count."""
        self.runs.append(dry_run)
        self._on_run()
        return {"runs": len(self.runs)}


def broken() -> None:
    """Fail, as when a server is away."""
    raise OSError("the disk is full\nand more")


def test_what_one_kind_cannot_do_is_on_record_and_the_others_go_on(settings: ExecutorSettings, log: EventLog) -> None:
    """The first line of the error; statistics of all are one event."""
    record = RetentionRecord(log, now=lambda: NOW)
    done = Cleanup(settings.database_url, record, [Counting("a"), Counting("b", broken), Counting("c")]).run()
    assert [(each.kind, each.counts, each.error) for each in done.kinds] == [
        ("a", {"runs": 1}, None),
        ("b", {}, "the disk is full"),
        ("c", {"runs": 1}, None),
    ]
    (recorded,) = log.read(0, topics=[CleanupFinished.TOPIC])
    assert isinstance(recorded.event, CleanupFinished)
    assert (recorded.position, recorded.event.kinds, recorded.event.actor) == (
        done.position,
        done.kinds,
        "executor:cleanup",
    )


def test_a_dry_run_leaves_no_trace(settings: ExecutorSettings, log: EventLog) -> None:
    """Each kind is told that it is one, and the log stays as it is."""
    kind = Counting("a")
    done = Cleanup(settings.database_url, RetentionRecord(log, now=lambda: NOW), [kind]).run(dry_run=True)
    assert (done.position, done.dry_run, kind.runs, log.head()) == (None, True, [True], 0)


def test_one_clean_up_at_a_time(settings: ExecutorSettings, log: EventLog) -> None:
    """The second one is refused, and finds the way free when the first one has ended."""
    record = RetentionRecord(log, now=lambda: NOW)
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        leave.wait(30)

    slow = Counting("slow", wait)
    thread = threading.Thread(target=Cleanup(settings.database_url, record, [slow]).run)
    thread.start()
    assert inside.wait(30)
    other = Cleanup(settings.database_url, record, [Counting("b")])
    with pytest.raises(CleanupError, match="Another clean-up runs"):
        other.run()
    leave.set()
    thread.join()
    assert other.run().kinds[0].counts == {"runs": 1}


@pytest.fixture
def installed(settings: ExecutorSettings, log: EventLog) -> ExecutorSettings:
    """An installation with something to do of each kind: an orphan, an old run, a result without a time to live."""
    store = open_store(settings)
    recorded = store.put(b"recorded", "text/plain")
    store.put(b"orphan", "text/plain")
    for _ in range(4):  # two days each
        in_folder(settings.objects_folder).grow_old()
    old = running()
    complete_next(old, stamp(2), {"kept": recorded.uri})
    complete_all(old, stamp(3))
    log.save_execution(old)
    log.save_execution(submitted(at=stamp((datetime.now(UTC) - NOW).total_seconds())))
    redis.Redis.from_url(settings.redis_url).set(result_key("forever"), "{}")
    return settings


WOULD = {
    "results": {"found": 1, "given_a_time_to_live": 1},
    "executions": {"expired": 1},
    "log": {"runs": 0, "events": 0, "archives": 0, "pruned": 0},
    "objects": {"found": 2, "referenced": 1, "kept_young": 0, "deleted": 1, "freed_bytes": 6},
}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command line starts."""
    return subprocess.run(
        [sys.executable, "-m", "services.executor.cleanup", *arguments], capture_output=True, text=True, check=False
    )


def test_by_hand_it_says_in_json_what_it_would_do_and_what_it_did(installed: ExecutorSettings, log: EventLog) -> None:
    """The same; what was done is not found again."""
    would = msgspec.json.decode(command("--dry-run").stdout, type=CleanedUp)
    assert expired(log) == []
    did = msgspec.json.decode(command().stdout, type=CleanedUp)
    again = msgspec.json.decode(command().stdout, type=CleanedUp)
    assert {each.kind: each.counts for each in would.kinds} == {each.kind: each.counts for each in did.kinds} == WOULD
    assert {each.kind: each.counts for each in again.kinds} == {
        "results": {"found": 1, "given_a_time_to_live": 0},
        "executions": {"expired": 0},
        "log": WOULD["log"],
        "objects": {"found": 1, "referenced": 1, "kept_young": 0, "deleted": 0, "freed_bytes": 0},
    }
    assert len(expired(log)) == 1


def test_the_nightly_task_cleans_up_unless_somebody_does(
    installed: ExecutorSettings, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the worker's own settings, log and clock."""
    for cached in (process.settings, process.log, process.clock):
        cached.cache_clear()
    monkeypatch.setattr(process, "log", lambda: log)
    with psycopg.connect(installed.database_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (lock_key(NAME),))
        maintenance.clean_up()
        assert expired(log) == []
    maintenance.clean_up()
    (recorded,) = log.read(0, topics=[CleanupFinished.TOPIC])
    assert isinstance(recorded.event, CleanupFinished)
    assert {each.kind: each.counts for each in recorded.event.kinds} == WOULD
    process.settings.cache_clear()
    process.clock.cache_clear()


def test_a_clean_up_that_is_killed_is_done_by_the_next_one(installed: ExecutorSettings, log: EventLog) -> None:
    """SIGKILL while it waits for the object store: the lock goes with it, what it had done is done once."""
    script = (
        "import signal; from services.executor import cleanup;"
        "cleanup.CollectedObjects.run = lambda *_, **__: signal.pause(); cleanup.main()"
    )
    doomed = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: expired(log))
    doomed.kill()
    doomed.wait()
    assert log.read(0, topics=[CleanupFinished.TOPIC]) == []
    until(lambda: command().returncode == 0)
    (recorded,) = log.read(0, topics=[CleanupFinished.TOPIC])
    assert isinstance(recorded.event, CleanupFinished)
    counts = {each.kind: each.counts for each in recorded.event.kinds}
    assert (counts["executions"], counts["objects"]) == ({"expired": 0}, WOULD["objects"])
    assert len(expired(log)) == 1


def test_a_redis_that_is_away_does_not_keep_rows_and_objects(installed: ExecutorSettings, log: EventLog) -> None:
    """What could not be done is on record."""
    away = installed.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    done = clean_up(away, log, lambda: datetime.now(UTC), dry_run=False)
    assert [each.kind for each in done.kinds if each.error] == ["results"]
    assert {each.kind: each.counts for each in done.kinds} == WOULD | {"results": {}}
