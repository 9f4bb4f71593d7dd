"""What both event logs promise, the one for code that may block and the one for asyncio; and the one of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from shared.domain.catalogue_events import CataloguePublished
from shared.domain.errors import NotFound, VersionConflict
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import AttemptStarted, Submitted
from shared.domain.phases import Phase
from shared.log.async_event_log import AsyncEventLog
from shared.log.event_log import EventLog
from shared.log.recorder import Guard
from shared.log.runs import Recorded
from tests.builders import at_join, claimed, complete_all, complete_member, running, stamp, submitted
from tests.memory_log import MemoryEventLog

SYMBOLS = tuple(f"S{number}" for number in range(8))


class Log(Protocol):
    """The promise, in asyncio's shape."""

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append all or none."""

    async def save(self, execution: WorkflowExecution) -> list[int]:
        """Append what was decided on a run and its branches."""

    async def stream(self, originator_id: UUID, *, gt: int = 0) -> list[Event]:
        """One stream, oldest first."""

    async def read(self, after: int, *, limit: int = 500, topics: Sequence[str] = ()) -> list[Recorded]:
        """All from a position on."""

    async def head(self) -> int:
        """The newest position."""

    async def execution(self, task_id: UUID) -> WorkflowExecution:
        """A run with its branches."""

    async def phase(self, task_id: UUID) -> Phase:
        """Where a run stands."""


class Blocking:
    """An `EventLog`, called from asyncio by the test."""

    def __init__(self, log: EventLog) -> None:
        """Wrap an open log."""
        self._log = log

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append in a thread."""
        return await asyncio.to_thread(self._log.append, events, guard=guard)

    async def save(self, execution: WorkflowExecution) -> list[int]:
        """Append in a thread."""
        return await asyncio.to_thread(self._log.save_execution, execution)

    async def stream(self, originator_id: UUID, *, gt: int = 0) -> list[Event]:
        """Read in a thread."""
        return await asyncio.to_thread(self._log.stream, originator_id, gt=gt)

    async def read(self, after: int, *, limit: int = 500, topics: Sequence[str] = ()) -> list[Recorded]:
        """Read in a thread."""
        return await asyncio.to_thread(self._log.read, after, limit=limit, topics=topics)

    async def head(self) -> int:
        """Read in a thread."""
        return await asyncio.to_thread(self._log.head)

    async def execution(self, task_id: UUID) -> WorkflowExecution:
        """Read in a thread."""
        return await asyncio.to_thread(self._log.execution, task_id)

    async def phase(self, task_id: UUID) -> Phase:
        """Read in a thread."""
        return (await self.execution(task_id)).phase


class Asynchronous:
    """An `AsyncEventLog` whose streams are events without their positions."""

    def __init__(self, log: AsyncEventLog) -> None:
        """Wrap an open log."""
        self._log = log
        self.append = log.append
        self.save = log.save_execution
        self.execution = log.execution
        self.read = log.read
        self.head = log.head

    async def stream(self, originator_id: UUID, *, gt: int = 0) -> list[Event]:
        """The events of a stream."""
        recorded = await self._log.streams([originator_id])
        return [each.event for each in recorded if each.event.originator_version > gt]

    async def phase(self, task_id: UUID) -> Phase:
        """Where a run stands."""
        return (await self._log.execution(task_id)).phase


@pytest.fixture(params=["blocking", "asyncio", "memory"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    """Each of the two in turn, on an empty log, and the one of the tests."""
    if request.param == "memory":
        yield Blocking(MemoryEventLog())
        return
    migrated_database_url = request.getfixturevalue("migrated_database_url")
    if request.param == "asyncio":
        async with AsyncEventLog(migrated_database_url) as asynchronous:
            yield Asynchronous(asynchronous)
        return
    blocking = EventLog(migrated_database_url)
    yield Blocking(blocking)
    blocking.close()


async def test_what_is_appended_is_read_back_equal(log: Log) -> None:
    """A whole run comes back event by event, in the order of its versions."""
    run = running()
    complete_all(run)
    events = list(run.collect_events())
    positions = await log.append(events)
    assert await log.stream(run.id) == events
    assert await log.read(0) == [Recorded(*pair) for pair in zip(positions, events, strict=True)]
    assert await log.phase(run.id) is Phase.SUCCEEDED


async def test_positions_rise_and_the_newest_is_the_head(log: Log) -> None:
    """Later appends have higher positions, within an append and across appends; an empty log's head is 0."""
    assert await log.head() == 0
    positions: list[int] = []
    for _ in range(5):
        positions += await log.append(running().collect_events())
    assert positions == sorted(set(positions))
    assert await log.head() == positions[-1]


async def test_reading_goes_on_after_a_position(log: Log) -> None:
    """Pages of three, each after the last position of the one before, are the whole log."""
    positions = [position for _ in range(4) for position in await log.append(running().collect_events())]
    seen: list[int] = []
    while page := await log.read(seen[-1] if seen else 0, limit=3):
        assert len(page) <= 3
        seen += [recorded.position for recorded in page]
    assert seen == positions


async def test_reading_keeps_to_the_topics_asked_for(log: Log) -> None:
    """Only those come, in order; without any asked for, all come."""
    await log.append(running().collect_events())
    await log.append(running().collect_events())
    await log.append([published()])
    assert {type(each.event) for each in await log.read(0, topics=[AttemptStarted.TOPIC])} == {AttemptStarted}
    assert len(await log.read(0, topics=(AttemptStarted.TOPIC, Submitted.TOPIC))) == 4
    assert len(await log.read(0)) == 5


async def test_a_stream_goes_on_after_a_version(log: Log) -> None:
    """Versions greater than the one given; none beyond the last."""
    run = running()
    complete_all(run)
    events = list(run.collect_events())
    await log.append(events)
    assert await log.stream(run.id, gt=2) == events[2:]
    assert await log.stream(run.id, gt=run.version) == []


async def test_a_version_that_is_taken_is_a_conflict_and_changes_nothing(log: Log) -> None:
    """Two decide on the same version: the second is told so, and its event is not there."""
    run = submitted()
    await log.append(run.collect_events())
    run.claim(stamp(1), attempt=1, worker="first")
    [first] = run.collect_events()
    await log.append([first])
    late = submitted(run.id)
    late.claim(stamp(1), attempt=1, worker="second")
    with pytest.raises(VersionConflict):
        await log.append([late.collect_events()[1]])
    assert (await log.stream(run.id))[1:] == [first]


async def test_the_same_event_decided_twice_is_a_conflict(log: Log) -> None:
    """Equal in all but the id of the append: it is somebody else's, not a lost acknowledgement of ours."""
    task_id = uuid4()
    await log.append(submitted(task_id).collect_events())
    with pytest.raises(VersionConflict):
        await log.append(submitted(task_id).collect_events())


async def test_an_append_is_all_or_none(log: Log) -> None:
    """One conflict among several streams, and none of their events is stored."""
    taken, other = submitted(), submitted()
    await log.append(taken.collect_events())
    with pytest.raises(VersionConflict):
        await log.append([*other.collect_events(), *submitted(taken.id).collect_events()])
    assert await log.stream(other.id) == []
    assert len(await log.read(0)) == 1


async def test_of_many_at_once_one_wins(log: Log) -> None:
    """Ten submissions under one id at the same moment: nine conflicts."""
    task_id = uuid4()
    answers = await asyncio.gather(
        *(log.append(submitted(task_id).collect_events()) for _ in range(10)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["VersionConflict"] * 9 + ["list"]


async def test_an_unknown_run_is_not_found(log: Log) -> None:
    """Its stream is empty, and the run itself an error that says what to do."""
    assert await log.stream(uuid4()) == []
    with pytest.raises(NotFound, match="check the id"):
        await log.phase(uuid4())


async def test_nothing_to_append_is_nothing(log: Log) -> None:
    """No events, no positions, no rows."""
    assert await log.append([]) == []
    assert await log.head() == 0


def published() -> CataloguePublished:
    """An event that is not a run's."""
    at = stamp()
    return CataloguePublished(
        originator_id=uuid4(), originator_version=1, at=at.at, actor=at.actor, append_id=at.append_id, strategies=()
    )


async def test_an_append_may_stand_on_the_version_of_another_stream(log: Log) -> None:
    """It is refused, whole, as soon as that stream has moved on; its own versions would have allowed it."""
    run, other = running(), submitted()
    await log.append(run.collect_events())
    events = other.collect_events()
    with pytest.raises(VersionConflict):
        await log.append(events, guard=Guard(run.id, run.version - 1))
    assert (await log.stream(other.id), await log.head()) == ([], run.version)
    await log.append(events, guard=Guard(run.id, run.version))
    assert await log.stream(other.id) == list(events)


async def test_a_guard_does_not_excuse_a_version_that_is_taken(log: Log) -> None:
    """Nor does a stream that has none stand in the way; what is appended under a guard is all or none."""
    taken, other = submitted(), submitted()
    await log.append(taken.collect_events(), guard=Guard(uuid4(), 0))
    late = [*other.collect_events(), *submitted(taken.id).collect_events()]
    with pytest.raises(VersionConflict):
        await log.append(late, guard=Guard(taken.id, 1))
    assert await log.stream(other.id) == []


async def test_an_append_may_be_guarded_by_a_version_that_is_yet_to_come(log: Log) -> None:
    """Whoever has read further than the stream stands knows no less: it has not moved on from there."""
    run, other = submitted(), submitted()
    await log.append(run.collect_events())
    assert await log.append(other.collect_events(), guard=Guard(run.id, 7))


async def test_a_branch_is_not_written_once_its_run_has_moved_on(log: Log) -> None:
    """Whoever claims it has read the run before it was cancelled; nobody has written to the branch itself."""
    run = at_join()
    await log.save(run)
    late = await log.execution(run.id)
    run.request_cancel(stamp(5))
    await log.save(run)
    branch = claimed(late, "MSFT", stamp(6))
    with pytest.raises(VersionConflict):
        await log.save(late)
    assert await log.stream(branch.id) == []


async def test_a_run_is_read_with_its_branches(log: Log) -> None:
    """As whoever wrote it has it, in one order."""
    run = at_join()
    await log.save(run)
    for symbol in ("MSFT", "AAPL"):
        complete_member(run, symbol, stamp(6), value=symbol)
        await log.save(run)
    run.settle_stage(stamp(7))
    await log.save(run)
    found = await log.execution(run.id)
    assert (found.phase, found.events, found.steps) == (Phase.JOINED, run.events, run.steps)


async def test_of_claims_and_a_cancellation_at_once_no_claim_comes_after_it(log: Log) -> None:
    """The check and the append are one: whatever was decided on the run before, the order of the log is right."""
    for _ in range(5):
        run = at_join(symbols=SYMBOLS)
        await log.save(run)
        claims = [await log.execution(run.id) for _ in SYMBOLS]
        for claim, symbol in zip(claims, SYMBOLS, strict=True):
            claimed(claim, symbol, stamp(4))
        run.request_cancel(stamp(5))
        saved = [*claims[:4], run, *claims[4:]]
        answers = await asyncio.gather(*(log.save(each) for each in saved), return_exceptions=True)
        cancelled = answers.pop(4)
        assert isinstance(cancelled, list)
        written = [answer[0] for answer in answers if isinstance(answer, list)]
        assert all(position < cancelled[0] for position in written)
        found = await log.execution(run.id)
        assert sum(branch.at_work for branch in found.stage()) == len(written)
