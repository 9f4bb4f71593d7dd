"""How runs are read with their branches: in one order, as far as they are asked for, and alike by all logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from shared.domain.catalogue import OnError
from shared.domain.errors import NotFound
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.phases import Phase
from shared.log.async_event_log import AsyncEventLog
from shared.log.event_log import EventLog
from shared.log.runs import Recorded
from tests.builders import (
    at_join,
    claimed,
    complete_member,
    fail_member,
    open_stage,
    parallel_plan,
    retry_member,
    stamp,
    submitted,
)
from tests.memory_log import MemoryEventLog

SYMBOLS = ("S0", "S1", "S2", "S3", "S4")


@pytest.fixture
async def asynchronous(migrated_database_url: str) -> AsyncIterator[AsyncEventLog]:
    """The log for asyncio, on an empty log."""
    async with AsyncEventLog(migrated_database_url) as log:
        yield log


@pytest.fixture(params=["postgresql", "memory"])
def blocking(request: pytest.FixtureRequest) -> Iterator[EventLog]:
    """The log for code that may block, on an empty log, and the one of the tests."""
    if request.param == "memory":
        yield MemoryEventLog()
        return
    with EventLog(request.getfixturevalue("migrated_database_url")) as log:
        yield log


def side_by_side() -> tuple[WorkflowExecution, list[Event]]:
    """A run that was joined, and what has happened to it and its branches, in that order."""
    run = at_join()
    claimed(run, "AAPL", stamp(4))
    claimed(run, "MSFT", stamp(4))
    complete_member(run, "MSFT", stamp(5), 1)
    complete_member(run, "AAPL", stamp(6), 2)
    run.settle_stage(stamp(7))
    return run, list(run.collect_events())


def test_a_run_is_read_with_its_branches_as_they_were_at_a_position(blocking: EventLog) -> None:
    """Every prefix of the log is a moment of the run, with all of its streams cut there."""
    run, events = side_by_side()
    blocking.append(submitted().collect_events())
    positions = blocking.append(events)
    blocking.append(submitted().collect_events())
    for number, position in enumerate(positions, start=1):
        found, expected = blocking.execution(run.id, until=position), fold(None, events[:number])
        assert expected is not None
        assert (found.phase, found.events, found.version) == (expected.phase, expected.events, expected.version)
        assert found.changed_at == expected.changed_at
        assert {each: branch.phase for each, branch in found.branches.items()} == {
            each: branch.phase for each, branch in expected.branches.items()
        }
    assert blocking.execution(run.id).events == len(events)
    with pytest.raises(NotFound):
        blocking.execution(run.id, until=positions[0] - 1)


def test_a_member_is_read_with_what_feeds_it_and_no_sibling(blocking: EventLog) -> None:
    """Otherwise a stage would be read as often as it has members."""
    run, events = side_by_side()
    blocking.append(events)
    found = blocking.member(run.id, opening=1, step="analyse", symbol="MSFT")
    assert (found.branch(1, "analyse", "MSFT").phase, found.phase) == (Phase.SUCCEEDED, Phase.JOINED)
    assert found.branch(1, "analyse", "AAPL").version == 0
    later = blocking.member(run.id, opening=2, step="rank", symbol="MSFT")
    assert [branch.version for branch in later.branches.values()] == [0, 2]
    everybody = blocking.member(run.id, opening=2, step="decide", symbol=None)
    assert [branch.version for branch in everybody.branches.values()] == [2, 2]


def restarted() -> tuple[WorkflowExecution, list[Event]]:
    """A run that failed with its first member, lives on, and has done one of two members anew; and its events."""
    run = at_join(steps=parallel_plan(on_error=OnError.FAIL))
    retry_member(run, "AAPL", stamp(4))
    fail_member(run, "MSFT", stamp(5))
    run.retry_now(stamp(6))
    run.claim(stamp(7), attempt=2, worker="w")
    open_stage(run, stamp(8))
    complete_member(run, "AAPL", stamp(9), 1)
    return run, list(run.collect_events())


def test_what_was_tried_before_a_restart_counts_in_the_order_of_the_log(blocking: EventLog) -> None:
    """The retries and failures of earlier branches are over with it, whoever reads the run, all of it or one member."""
    run, events = restarted()
    blocking.append(events)
    found = blocking.execution(run.id)
    member = blocking.member(run.id, opening=2, step="analyse", symbol="MSFT")
    assert (found.steps, found.retries("analyse", "MSFT")) == (run.steps, 0)
    assert ("analyse", "MSFT") not in member.steps
    assert member.time_left(stamp(10).at) == run.time_left(stamp(10).at)


async def test_asyncio_s_log_reads_a_restarted_run_alike(asynchronous: AsyncEventLog) -> None:
    """By itself, and among others."""
    run, events = restarted()
    await asynchronous.append(events)
    (among,) = await asynchronous.executions([run.id])
    assert (await asynchronous.execution(run.id)).steps == among.steps == run.steps


def test_branches_have_ended_when_each_has_completed_failed_or_closed(blocking: EventLog) -> None:
    """None has without an event, nor one that waits for its retry or for a worker; of none, all have."""
    run = at_join(symbols=SYMBOLS)
    blocking.save_execution(run)
    complete_member(run, "S0", stamp(4))
    fail_member(run, "S1", stamp(4))
    retry_member(run, "S2", stamp(4))
    closing = claimed(run, "S3", stamp(4))
    run.request_cancel(stamp(5))
    closing.close(stamp(6), attempt=1, reason="cancelled")
    blocking.save_execution(run)
    members = [branch.id for branch in run.stage()]
    assert blocking.have_all_ended([])
    assert blocking.have_all_ended([members[0], members[1], members[3]])
    for waiting in members[2], members[4], uuid4():
        assert not blocking.have_all_ended([waiting])
        assert not blocking.have_all_ended([members[0], waiting])
        assert not blocking.have_all_ended([waiting, members[1]])


def test_streams_are_read_together_in_the_order_of_the_log(blocking: EventLog) -> None:
    """Those asked for and no others, up to a position if one is given."""
    run, events = side_by_side()
    positions = blocking.append(events)
    blocking.append(submitted().collect_events())
    both = [run.id, *run.branches]
    assert blocking.streams(both) == [Recorded(*pair) for pair in zip(positions, events, strict=True)]
    assert [each.position for each in blocking.streams(both, until=positions[5])] == positions[:6]
    (first, *_) = run.branches
    assert {each.event.originator_id for each in blocking.streams([first])} == {first}
    assert blocking.streams([uuid4()]) == []


async def test_a_history_is_read_in_pages_with_its_branches(asynchronous: AsyncEventLog) -> None:
    """In the order of the log, each page after the last position of the one before."""
    run, events = side_by_side()
    positions = await asynchronous.append(events)
    await asynchronous.append(submitted().collect_events())
    whole = [Recorded(*pair) for pair in zip(positions, events, strict=True)]
    assert await asynchronous.history(run.id) == whole
    assert await asynchronous.streams([run.id, *run.branches], after=positions[2], limit=3) == whole[3:6]
    pages: list[Recorded] = []
    while page := await asynchronous.history(run.id, after=pages[-1].position if pages else 0, limit=3):
        assert len(page) <= 3
        pages += page
    assert pages == whole
    assert await asynchronous.history(uuid4()) == []


async def test_many_runs_are_read_at_once_with_their_branches(asynchronous: AsyncEventLog) -> None:
    """Those that are known, each as it is read by itself."""
    (run, events), (other, others), plain = side_by_side(), side_by_side(), submitted()
    mixed = [event for pair in zip(events, others, strict=True) for event in pair]
    await asynchronous.append([*mixed, *plain.collect_events()])
    found = {each.id: each for each in await asynchronous.executions([run.id, plain.id, uuid4(), other.id])}
    assert {each: (one.phase, one.events) for each, one in found.items()} == {
        run.id: (Phase.JOINED, len(events)),
        other.id: (Phase.JOINED, len(others)),
        plain.id: (Phase.WAITING, 1),
    }
    assert found[run.id].steps == (await asynchronous.execution(run.id)).steps
