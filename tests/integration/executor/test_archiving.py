"""Moving old runs into archives: which of them, and that a crash at any line loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from services.executor import archive_writing, archiving
from services.executor.archive_writing import ArchiveError
from services.executor.garbage import Collection
from shared.domain.retention_events import StreamsArchived
from shared.log.archived_events import MEDIA_TYPE, ArchivedEvents, decode, encode
from shared.objects import LocalObjectStore
from tests.builders import complete_all, complete_next, outcome, running, stamp, submitted, with_order
from tests.contract.object_stores import in_folder
from tests.integration.log.archive_shelf import Shelf, shelf


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Shelf]:
    """An empty log and an empty store."""
    with shelf(migrated_database_url, tmp_path) as desk:
        yield desk


def counted(runs: int, events: int, archives: int, pruned: int) -> dict[str, int]:
    """The statistics of the kind."""
    return {"runs": runs, "events": events, "archives": archives, "pruned": pruned}


def named(desk: Shelf) -> list[StreamsArchived]:
    """What the log says of archives."""
    found = [each.event for each in desk.log.read(0, topics=[StreamsArchived.TOPIC])]
    return [event for event in found if isinstance(event, StreamsArchived)]


def test_only_runs_that_ended_long_ago_are_moved(desk: Shelf) -> None:
    """Not one that lives, nor one of which something was said lately, nor one whose order may still be filled."""
    gone = desk.ended()
    live = running()
    retried = submitted()
    retried.request_cancel(stamp(1), reason="enough")
    retried.retry_now(stamp(2))
    traded = running()
    for _ in range(3):
        complete_next(traded, stamp(3))
    with_order(traded, f"{traded.id}/1", stamp(4))
    traded.settle_order(stamp(5), attempt=1, client_order_id=f"{traded.id}/1", outcome=outcome())
    complete_all(traded)
    late = running()
    for run in (live, retried, traded, late):
        desk.log.save_execution(run)
    desk.ended(day=100)
    desk.young()
    complete_all(late, stamp(500 * 86_400))
    desk.log.save_execution(late)
    before = desk.rows()
    assert desk.kind().run(dry_run=True) == counted(1, gone.version, 1, 0)
    assert (desk.rows(), named(desk), list(desk.store.list())) == (before, [], [])
    assert desk.kind().run(dry_run=False) == counted(1, gone.version, 1, gone.version)
    assert len(desk.rows()) == len(before) - gone.version + 1
    (event,) = named(desk)
    assert (event.runs, event.streams, event.events, event.first_position) == (1, 1, gone.version, 1)
    assert desk.kind().run(dry_run=False) == counted(0, 0, 0, 0)


def test_what_a_follower_has_not_seen_stays(desk: Shelf) -> None:
    """The slowest one of all services counts."""
    first, second = desk.ended(), desk.ended()
    desk.young()
    with psycopg.connect(desk.url) as connection:
        for table, position in (("status.positions", 10_000), ("scheduler.positions", first.version)):
            connection.execute(f"INSERT INTO {table} VALUES ('somebody', {position})".encode())
    assert desk.kind().run(dry_run=False)["runs"] == 1
    with psycopg.connect(desk.url) as connection:
        connection.execute("DELETE FROM scheduler.positions")
    assert desk.kind().run(dry_run=False) == counted(1, second.version, 1, second.version)


def test_archives_are_of_bounded_size_and_a_clean_up_makes_so_many(
    desk: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one goes on with the rest."""
    monkeypatch.setattr(archiving, "PAGE", 2)
    monkeypatch.setattr(archiving, "ARCHIVE_EVENTS", 10)
    monkeypatch.setattr(archiving, "MOST_ARCHIVES", 2)
    version = desk.ended().version
    for _ in range(8):
        desk.ended()
    desk.young()
    assert desk.kind().run(dry_run=False) == counted(4, 4 * version, 2, 4 * version)
    assert desk.kind().run(dry_run=False) == counted(4, 4 * version, 2, 4 * version)
    assert desk.kind().run(dry_run=False) == counted(1, version, 1, version)


def test_a_run_that_goes_on_while_it_is_archived_stays(desk: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody retries it in the moment before the index has it: nothing is moved, and the next clean-up sees it."""
    run = submitted()
    run.request_cancel(stamp(1), reason="enough")
    desk.log.save_execution(run)
    desk.young()
    put = LocalObjectStore.put

    def retried(store: LocalObjectStore, data: bytes, media_type: str) -> object:
        execution = desk.log.execution(run.id)
        if execution.phase.ended:
            execution.retry_now(stamp(2))
            desk.log.save_execution(execution)
        return put(store, data, media_type)

    monkeypatch.setattr(LocalObjectStore, "put", retried)
    before = len(desk.rows())
    assert desk.kind().run(dry_run=False) == counted(0, 0, 0, 0)
    assert (len(desk.rows()), named(desk)) == (before + 1, [])
    assert not desk.log.execution(run.id).phase.ended


def test_a_store_that_gives_back_something_else_keeps_everything_in_the_log(
    desk: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again before anything is removed."""
    desk.ended()
    desk.young()
    before = desk.rows()
    with monkeypatch.context() as patched:
        patched.setattr(archive_writing, "decode", lambda data: ArchivedEvents(decode(data).rows[1:]))
        with pytest.raises(ArchiveError, match="is not what was put"):
            desk.kind().run(dry_run=False)
    assert (desk.rows(), named(desk)) == (before, [])


def test_rows_that_are_not_what_the_archive_has_are_not_removed(desk: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has changed the log by hand."""
    desk.ended()
    desk.young()
    with monkeypatch.context() as patched:
        patched.setattr(archive_writing.ArchiveWriter, "prune", lambda _: 0)
        desk.kind().run(dry_run=False)
    before = desk.rows()
    with psycopg.connect(desk.url) as connection:
        connection.execute("UPDATE log.blotter_events SET state = state || ' ' WHERE notification_id = 2")
    with pytest.raises(ArchiveError, match="from position 1 to"):
        desk.kind().run(dry_run=False)
    assert desk.rows() == before


LINES = (
    "_store.put",  # before there is an object
    "_store.get",  # the object is there, nobody knows of it
    "_ADD_STREAMS",  # in the transaction
    "_GROWN",  # the event is appended, and not committed
    "return True",  # committed, no row removed
    "len(gone)",  # some rows removed
    "_PRUNED, ",  # all rows removed, and not on record
)
DOOMED = """
import os, signal, sys
from pathlib import Path
from services.executor import archive_writing
from tests.integration.log.archive_shelf import shelf

FILE, AT = archive_writing.__file__, int(sys.argv[3])

def trace(frame, event, _):
    if frame.f_code.co_filename != FILE:
        return None
    if event == "line" and frame.f_lineno == AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

archive_writing.PRUNED_AT_ONCE = 5
with shelf(sys.argv[1], Path(sys.argv[2])) as desk:
    sys.settrace(trace)
    desk.kind().run(dry_run=False)
"""


def line_of(text: str) -> int:
    """The number of the first line of the writer's own code that has this text, below its head."""
    lines = Path(archive_writing.__file__).read_text().splitlines()
    start = lines.index("class ArchiveWriter:")
    return next(number for number, line in enumerate(lines, start=1) if number > start and text in line)


@pytest.mark.parametrize("text", LINES)
def test_a_crash_at_any_line_loses_nothing_and_the_next_clean_up_ends_it(
    desk: Shelf, tmp_path: Path, text: str
) -> None:
    """SIGKILL: the log reads as before, and in the end each event is in the table or in an archive, once."""
    runs = [desk.ended() for _ in range(4)]
    desk.young()
    before = desk.log.read(0, limit=1_000)
    doomed = subprocess.run(
        [sys.executable, "-c", DOOMED, desk.url, str(tmp_path), str(line_of(text))], capture_output=True, check=False
    )
    assert doomed.returncode == -signal.SIGKILL, doomed.stderr.decode()
    assert desk.log.read(0, limit=1_000)[: len(before)] == before
    done = desk.kind().run(dry_run=False)
    after = desk.log.read(0, limit=1_000)
    assert (after[: len(before)], len(named(desk))) == (before, 1)
    old = {each.position for each in before if each.event.originator_id in {run.id for run in runs}}
    assert old.isdisjoint(desk.rows())
    assert done["pruned"] <= sum(run.version for run in runs)
    with psycopg.connect(desk.url) as connection:
        assert connection.execute("SELECT count(*) FROM log.archives WHERE pruned_at IS NULL").fetchone() == (0,)
    assert desk.kind().run(dry_run=False) == counted(0, 0, 0, 0)


def test_objects_of_archived_runs_and_the_archives_themselves_are_no_garbage(desk: Shelf) -> None:
    """The collection reads archives too."""
    kept, orphan = desk.store.put(b"kept", "text/plain"), desk.store.put(b"orphan", "text/plain")
    run = running()
    complete_next(run, stamp(2), {"see": kept.uri})
    complete_all(run, stamp(3))
    desk.log.save_execution(run)
    desk.archive()
    for _ in range(4):  # two days each
        in_folder(desk.store.root).grow_old()
    done = Collection(desk.log, desk.store, grace=timedelta(days=7), now=lambda: datetime.now(UTC)).run()
    assert (done.referenced, done.deleted) == (2, 1)
    assert {each.sha256 for each in desk.store.list()} == {kept.sha256, named(desk)[0].archive.sha256}
    assert orphan.sha256 not in {each.sha256 for each in desk.store.list()}


def test_an_archive_is_what_was_put_into_it_to_the_byte(desk: Shelf) -> None:
    """Also what JSON would not tell apart."""
    desk.ended()
    rows = desk.log.stored(0, limit=100)
    file = encode(ArchivedEvents(rows))
    again = decode(file)
    assert again.rows == [
        (at, StoredEvent(event.originator_id, event.originator_version, event.topic, bytes(event.state)))
        for at, event in rows
    ]
    assert MEDIA_TYPE.endswith("parquet")
    assert file[:4] == b"PAR1"
