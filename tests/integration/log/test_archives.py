"""Whoever reads the log finds in it what it held, wherever the events are by now."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from shared.domain.errors import Archived, Unavailable, VersionConflict
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Submitted, Succeeded
from shared.domain.phases import Phase
from shared.log import archives, tail
from shared.log.async_event_log import AsyncEventLog
from shared.log.event_log import EventLog
from shared.log.recorder import APPEND, BY_INDEX, Guard, append_parameters
from shared.log.runs import Recorded
from shared.log.tail import Tail
from shared.objects import LocalObjectStore, ObjectMissing
from tests.builders import at_join, running, stamp, submitted
from tests.histories import seen
from tests.integration.log.archive_shelf import Shelf, shelf


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Shelf]:
    """An empty log and an empty store."""
    with shelf(migrated_database_url, tmp_path) as desk:
        yield desk


@pytest.fixture
async def reader(desk: Shelf) -> AsyncIterator[AsyncEventLog]:
    """The log for asyncio code."""
    async with AsyncEventLog(desk.url, open_store=lambda: desk.store) as log:
        yield log


def staged(desk: Shelf) -> WorkflowExecution:
    """Record a run with a parallel step, that has ended; its branches have streams of their own."""
    run = at_join()
    run.request_cancel(stamp(30), reason="enough")
    if not run.phase.ended:
        run.settle_stage(stamp(31))
    if not run.phase.ended:
        run.end_cancelled(stamp(32), attempt=run.attempts)
    desk.log.save_execution(run)
    assert run.phase.ended
    return run


def filled(desk: Shelf) -> list[WorkflowExecution]:
    """Record runs that are old, between others that are not."""
    old = [desk.ended(), desk.ended()]
    desk.log.save_execution(running())
    old.append(staged(desk))
    desk.log.save_execution(submitted())
    old.append(desk.ended())
    return old


def archived(desk: Shelf) -> tuple[list[WorkflowExecution], list[Recorded]]:
    """Fill the log, remember what it says, and archive; return the archived runs, and the log as it was before."""
    runs = filled(desk)
    desk.young()
    before = desk.log.read(0, limit=10_000)
    desk.kind().run(dry_run=False)
    assert len(desk.rows()) < len(before)
    return runs, before


async def paged(reader: AsyncEventLog | EventLog, limit: int, topics: Sequence[str] = ()) -> list[Recorded]:
    """The log, page after page."""
    found: list[Recorded] = []
    while True:
        answer: Any = reader.read(found[-1].position if found else 0, limit=limit, topics=topics)
        page: list[Recorded] = answer if isinstance(answer, list) else await answer
        if not page:
            return found
        assert len(page) <= limit
        found += page


@pytest.mark.parametrize("limit", [1, 2, 7, 500])
async def test_the_log_is_read_as_it_was_before(desk: Shelf, reader: AsyncEventLog, limit: int) -> None:
    """By both logs, in pages of any size, all of it or some topics."""
    _, before = archived(desk)
    for log in (desk.log, reader):
        assert (await paged(log, limit))[: len(before)] == before
        topics = [Submitted.TOPIC, Succeeded.TOPIC]
        assert await paged(log, limit, topics) == [each for each in before if each.event.TOPIC in topics]


async def test_runs_are_read_as_they_were_before(desk: Shelf, reader: AsyncEventLog) -> None:
    """With their branches, at any moment of their past, alone and together, and what is looked for in them."""
    runs, before = archived(desk)
    ids = [run.id for run in runs]
    for run in runs:
        assert seen(desk.log.execution(run.id)) == seen(await reader.execution(run.id)) == seen(run)
        own = [each for each in before if each.event.originator_id == run.id]
        assert desk.log.stream(run.id) == [each.event for each in own]
        assert desk.log.stream(run.id, lte=1) == [own[0].event]
        assert desk.log.latest(run.id) == own[-1].event
        assert await reader.latest(run.id) == own[-1]
        assert await reader.streams([run.id], limit=1) == own[:1]
        middle = own[len(own) // 2].position
        assert desk.log.execution(run.id, until=middle).version == len(own) // 2 + 1
        history = await reader.history(run.id)
        assert [each.event for each in history if each.event.originator_id == run.id] == [each.event for each in own]
        assert await reader.history(run.id, after=middle, limit=2) == [e for e in history if e.position > middle][:2]
    assert {seen(run)[0].task_id for run in await reader.executions(ids)} == {str(each) for each in ids}
    for found in (desk.log.newest_of(ids, [Submitted.TOPIC]), await reader.newest_of(ids, [Submitted.TOPIC])):
        assert {event.originator_id for event in found} == set(ids)
    for recorded in before:
        assert await reader.newest(recorded.position) == recorded


def test_a_follower_from_the_beginning_is_told_all_in_order(desk: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of any size; at the end it reads no archive."""
    _, before = archived(desk)
    topics = [Submitted.TOPIC, Succeeded.TOPIC]
    with psycopg.connect(desk.url, autocommit=True, options=BY_INDEX) as connection:
        for batch in (1, 3, 500):
            monkeypatch.setattr(tail, "BATCH", batch)
            monkeypatch.setattr(tail, "FOLLOW", tail.FOLLOW.rpartition(" ")[0] + f" {batch}")
            for wanted in (topics, sorted({each.event.TOPIC for each in before})):
                follower = Tail(connection, desk.log.mapper.to_domain_event, wanted, 0, archives=desk.log.archives)
                found = follower.read()
                while not follower.caught_up:
                    found += follower.read()
                assert found == [each for each in before if each.event.TOPIC in wanted]
                assert follower.position == desk.log.head()


@pytest.mark.parametrize("version", [1, 3, None])
async def test_an_archived_stream_is_closed(desk: Shelf, reader: AsyncEventLog, version: int | None) -> None:
    """Its id is not given again, and neither what a late worker brings nor what nobody had taken is appended."""
    run = desk.ended()
    desk.archive()
    version = version or run.version + 1
    claim = running(task_id=run.id).collect_events()[-1]
    events = [msgspec.structs.replace(claim, originator_version=version)]
    before = desk.rows()
    with pytest.raises(VersionConflict):
        desk.log.append(events)
    with pytest.raises(VersionConflict if version == 1 else Archived, match=r"changed by|rerun"):
        await reader.append(events)
    assert desk.rows() == before


async def test_a_straggling_branch_of_an_archived_run_is_refused(desk: Shelf, reader: AsyncEventLog) -> None:
    """Whether its stream had events or none, by its own stream and by the guard."""
    run = staged(desk)
    desk.archive()
    other = running().collect_events()
    with pytest.raises(VersionConflict):
        desk.log.append(other, guard=Guard(run.id, run.version))
    for branch in run.branches.values():
        stray = submitted(branch.id).collect_events()
        with pytest.raises(VersionConflict):
            await reader.append(stray)


async def test_without_a_store_an_archived_run_is_not_taken_for_an_unknown_one(desk: Shelf) -> None:
    """The process says what it lacks; a store that has lost the object says so too."""
    run = desk.ended()
    desk.archive()
    async with AsyncEventLog(desk.url) as blind:
        with pytest.raises(Unavailable, match="knows no object store"):
            await blind.execution(run.id)
    empty = partial(LocalObjectStore, desk.store.root / "elsewhere")
    with EventLog(desk.url, open_store=empty) as log, pytest.raises(ObjectMissing):
        log.read(0)


def test_reading_while_rows_are_moved_finds_each_event_once(desk: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of the whole log and of single runs, over and over while archives are made."""
    monkeypatch.setattr("services.executor.archiving.ARCHIVE_EVENTS", 60)
    monkeypatch.setattr("services.executor.archiving.PAGE", 5)
    runs = [desk.ended() for _ in range(60)] + [staged(desk) for _ in range(5)]
    desk.young()
    before = desk.log.read(0, limit=10_000)
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        with EventLog(desk.url, open_store=lambda: desk.store) as log:
            while not stop.is_set():
                if log.read(0, limit=10_000)[: len(before)] != before:
                    wrong.append("the log")
                wrong.extend(run.id for run in runs[::7] + runs[-2:] if seen(log.execution(run.id)) != seen(run))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    done = desk.kind().run(dry_run=False)
    stop.set()
    for thread in threads:
        thread.join()
    assert (wrong, done["runs"], done["archives"] > 3) == ([], 65, True)


def test_few_archives_are_kept_in_memory(desk: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read last stays, and is not read again."""
    monkeypatch.setattr(archives, "CAPACITY", 1)
    asked: list[str] = []
    run = desk.ended()
    desk.archive()

    class Counting:
        def get(self, ref: Any) -> bytes:
            asked.append(ref.sha256)
            return desk.store.get(ref)

    with EventLog(desk.url, open_store=Counting) as log:  # type: ignore[arg-type]
        for _ in range(3):
            assert log.execution(run.id).phase is Phase.SUCCEEDED
    assert len(asked) == 1


def test_appends_do_not_wait_for_rows_that_are_removed(desk: Shelf) -> None:
    """A removal that has not committed holds nobody up."""
    desk.ended()
    with psycopg.connect(desk.url) as removing, psycopg.connect(desk.url, autocommit=True) as appending:
        removing.execute("DELETE FROM log.blotter_events WHERE notification_id = 1")
        appending.execute("SET statement_timeout = '3s'")
        stored = [desk.log.mapper.to_stored_event(event) for event in submitted().collect_events()]
        appending.execute(APPEND.encode(), append_parameters(stored))
        removing.rollback()
    assert len(desk.rows()) == desk.log.head()
