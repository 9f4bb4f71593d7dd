"""The collection on a real log, with objects in a folder and in a bucket of a real S3-speaking server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from services.executor import garbage
from services.executor.garbage import Collected, Collection, GarbageError
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef, Output, OutputKind
from shared.log.event_log import EventLog
from shared.objects import LocalObjectStore, ObjectStore, StoredObject, open_store
from shared.settings import Settings
from tests.builders import running, stamp
from tests.contract.object_stores import KINDS, Subject, in_folder, opened

GRACE = timedelta(days=7)


class Desk:
    """A log and a store; time passes when it is told to."""

    def __init__(self, log: EventLog, subject: Subject) -> None:
        """Begin with both of them empty."""
        self.log = log
        self.subject = subject
        self.store: ObjectStore = subject.store
        self.ahead = timedelta()

    def put(self, data: bytes) -> ObjectRef:
        """Put something that nothing refers to yet."""
        return self.store.put(data, "application/octet-stream")

    def record(self, *refs: ObjectRef) -> WorkflowExecution:
        """Append a run whose first step returned the first of these and kept the others."""
        run = running()
        run.complete_step(
            stamp(2),
            attempt=1,
            step="load",
            symbol=None,
            output=Output(kind=OutputKind.BYTES, ref=refs[0]),
            started_at=stamp(1).at,
            artifacts=tuple(Artifact(name=f"{place}.bin", ref=ref) for place, ref in enumerate(refs[1:])),
        )
        self.log.save_execution(run)
        return run

    def grow_old(self) -> None:
        """Let the grace of all that is there pass."""
        self.ahead += GRACE + timedelta(minutes=1)

    def collection(self, store: ObjectStore | None = None) -> Collection:
        """A collection, of this store unless another is given."""
        return Collection(self.log, store or self.store, grace=GRACE, now=lambda: datetime.now(UTC) + self.ahead)

    def collect(self, store: ObjectStore | None = None, *, dry_run: bool = False) -> Collected:
        """Collect."""
        return self.collection(store).run(dry_run=dry_run)


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """An empty log."""
    with EventLog(migrated_database_url) as log:
        yield log


@pytest.fixture(params=KINDS)
def desk(log: EventLog, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk with one store after the other."""
    with opened(request.param, request) as subject:
        yield Desk(log, subject)


class Between:
    """A store in which something happens between two questions of a collection."""

    def __init__(self, store: ObjectStore, *, listed: Callable[[], Any] = int, removing: Callable[[], Any] = int):
        """Call `listed` at the end of the list, and `removing` before each removal."""
        self._store = store
        self._listed = listed
        self._removing = removing

    def __getattr__(self, name: str) -> Any:
        """Be the store in all else."""
        return getattr(self._store, name)

    def list(self) -> Iterator[StoredObject]:
        """List, and let it happen."""
        yield from self._store.list()
        self._listed()

    def delete(self, sha256: str, *, unless_newer_than: datetime) -> bool:
        """Let it happen, and remove."""
        self._removing()
        return self._store.delete(sha256, unless_newer_than=unless_newer_than)


def kept(desk: Desk) -> set[bytes]:
    """What is in the store."""
    return {bytes.fromhex(each.sha256) for each in desk.store.list()}


def digests(*refs: ObjectRef) -> set[bytes]:
    """The digests of references."""
    return {bytes.fromhex(ref.sha256) for ref in refs}


def test_old_objects_without_a_reference_go_and_all_others_stay(desk: Desk) -> None:
    """An output and an artifact are referred to; two objects of attempts that died are not, one of them is young."""
    output, artifact, orphan = desk.put(b"output"), desk.put(b"artifact"), desk.put(b"orphan!")
    desk.record(output, artifact)
    desk.grow_old()
    collected = desk.collect()
    assert kept(desk) == digests(output, artifact)
    assert (collected.objects, collected.referenced, collected.deleted, collected.kept_young) == (3, 2, 1, 0)
    assert (collected.freed_bytes, collected.position, collected.dry_run) == (orphan.size, desk.log.head(), False)
    assert collected.place == desk.store.place


def test_a_young_object_waits_for_its_event(desk: Desk) -> None:
    """A step has put it, and its run will record it in a moment."""
    ref, other = desk.put(b"young"), desk.put(b"recorded")
    desk.record(other)
    collected = desk.collect()
    assert (collected.deleted, collected.kept_young, collected.referenced) == (0, 1, 1)
    assert kept(desk) == digests(ref, other)


def test_a_dry_run_counts_and_removes_nothing(desk: Desk) -> None:
    """It says what a run would do."""
    ref, orphan = desk.put(b"recorded"), desk.put(b"orphan")
    desk.record(ref)
    desk.grow_old()
    collected = desk.collect(dry_run=True)
    assert (collected.deleted, collected.freed_bytes, collected.dry_run) == (1, orphan.size, True)
    assert kept(desk) == digests(ref, orphan)
    assert desk.collect().deleted == 1


def test_an_object_that_is_recorded_after_the_list_stays(desk: Desk) -> None:
    """The log is read last: a run may come back to life after weeks and record what it had put."""
    ref, other = desk.put(b"old, not yet recorded"), desk.put(b"recorded")
    desk.record(other)
    desk.grow_old()
    collected = desk.collect(Between(desk.store, listed=lambda: desk.record(ref)))
    assert (collected.deleted, collected.referenced) == (0, 2)
    assert desk.store.get(ref) == b"old, not yet recorded"


def test_an_object_that_is_put_again_before_its_removal_stays(log: EventLog, request: pytest.FixtureRequest) -> None:
    """A worker returns what another one had put and died with; the collector has not found a reference to it."""
    for kind in KINDS:
        with opened(kind, request) as subject:
            desk = Desk(log, subject)
            ref, other = desk.put(b"orphan"), desk.put(b"recorded")
            desk.record(other)
            bound = desk.subject.listed(ref).modified_at
            desk.subject.grow_old()
            bound = max(bound, desk.subject.listed(ref).modified_at)
            store = Between(subject.store, removing=lambda: desk.put(b"orphan"))  # noqa: B023
            collection = Collection(log, store, grace=timedelta(), now=lambda: bound)  # noqa: B023
            collected = collection.run()
            assert (kind, collected.deleted, collected.kept_young) == (kind, 0, 1)
            assert desk.store.get(ref) == b"orphan"


def test_events_that_this_version_does_not_know_keep_their_objects(desk: Desk, migrated_database_url: str) -> None:
    """A newer gateway or worker may write to the log while this collector is an old one."""
    ref, other = desk.put(b"future"), desk.put(b"recorded")
    desk.record(other)
    state = msgspec.json.encode({"shape": {"of": ["things", msgspec.to_builtins(ref)]}})
    with psycopg.connect(migrated_database_url) as connection:
        connection.execute(
            "SELECT log.append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])",
            ([uuid4()], [1], ["future.thing_happened"], [state]),
        )
    desk.grow_old()
    assert desk.collect().deleted == 0
    assert kept(desk) == digests(ref, other)


def test_a_log_of_many_pages_is_read_to_its_head(log: EventLog, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """References stand on the first page, on the last, and at both sides of each border."""
    monkeypatch.setattr(garbage, "PAGE", 7)
    desk = Desk(log, in_folder(tmp_path))
    refs = [desk.put(bytes([number])) for number in range(30)]
    for ref in refs:
        desk.record(ref)
    desk.put(b"orphan")
    desk.grow_old()
    collected = desk.collect()
    assert (collected.referenced, collected.deleted, collected.position) == (30, 1, desk.log.head())
    assert kept(desk) == digests(*refs)


def test_another_logs_store_is_not_emptied(desk: Desk) -> None:
    """A log that refers to nothing of what is there is more likely the wrong one than a ruin."""
    ref = desk.put(b"somebody else's")
    desk.log.save_execution(running())
    desk.grow_old()
    with pytest.raises(GarbageError, match="another log's store"):
        desk.collect()
    assert kept(desk) == digests(ref)
    assert desk.collect(dry_run=True).deleted == 1


def test_two_collections_at_once_do_no_harm(desk: Desk) -> None:
    """One by hand, one by night; what one has removed the other does not miss."""
    ref = desk.put(b"recorded")
    desk.record(ref)
    orphans = [desk.put(bytes([number])) for number in range(20)]
    desk.grow_old()
    together = threading.Barrier(2, timeout=30)
    done: list[Collected] = []

    def run() -> None:
        done.append(desk.collect(Between(desk.store, listed=together.wait)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == 2
    assert sum(collected.deleted for collected in done) >= len(orphans)
    assert kept(desk) == digests(ref)


def environment(database_url: str, folder: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a worker on this log and this folder, from the environment."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BLOTTER_HOME", str(folder))
    monkeypatch.delenv("BLOTTER_OBJECTS_URL", raising=False)
    monkeypatch.setenv("BLOTTER_LOG_LEVEL", "WARNING")
    return Settings()


@pytest.fixture
def installed(log: EventLog, migrated_database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk as the environment describes it, with one object that is recorded and one that is old and is not."""
    settings = environment(migrated_database_url, tmp_path, monkeypatch)
    store = open_store(settings)
    assert isinstance(store, LocalObjectStore)
    subject = in_folder(store.root)
    desk = Desk(log, subject)
    desk.record(desk.put(b"recorded"))
    desk.put(b"orphan")
    for _ in range(4):  # two days each
        subject.grow_old()
    return desk


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command line starts."""
    return subprocess.run(
        [sys.executable, "-m", "services.executor.garbage", *arguments], capture_output=True, text=True, check=False
    )


def test_by_hand_it_says_in_json_what_it_did(installed: Desk) -> None:
    """First what it would do, then what it has done."""
    would = msgspec.json.decode(command("--dry-run").stdout, type=Collected)
    did = msgspec.json.decode(command().stdout, type=Collected)
    assert (would.deleted, would.dry_run, did.deleted, did.dry_run) == (1, True, 1, False)
    assert [each.size for each in installed.store.list()] == [len(b"recorded")]


WRONG: Sequence[tuple[dict[str, str], str]] = [
    ({"DATABASE_URL": "postgresql://app@127.0.0.1:1/x"}, "correct DATABASE_URL"),
    ({"BLOTTER_OBJECTS_URL": "ftp://x"}, "BLOTTER_OBJECTS_URL begins with ftp:"),
    (
        {
            "BLOTTER_OBJECTS_URL": "s3://desk?region=x&endpoint=http://127.0.0.1:1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
        },
        "does not answer",
    ),
]


@pytest.mark.parametrize(("changes", "says"), WRONG)
def test_what_is_wrong_is_said_in_one_line(
    installed: Desk, changes: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback; nothing is removed."""
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    done = command()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert says in done.stderr
    assert len(list(installed.store.list())) == 2


def test_a_database_without_a_log_is_said_in_one_line(
    installed: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a log that refers to nothing."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    done = command()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "run `blotter migrate`" in done.stderr
