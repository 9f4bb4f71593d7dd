"""What the dispatcher needs of a store, held against the fake of its unit tests and against PostgreSQL."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa

from services.executor.dispatching import DISPATCHER, Store
from services.executor.live_run import LiveRun, RunState
from services.executor.store import LiveRunStore
from shared.domain.priority import Priority
from shared.log.positions import AlreadyProcessed
from shared.settings import sqlalchemy_url
from tests.builders import NOW, TRACEPARENT
from tests.memory_store import MemoryStore
from tests.unit.executor.live_runs import waiting

Reopen = Callable[[], Store]
"""Opens the store anew, as after a restart."""


@pytest.fixture(params=["memory", "postgresql"])
def reopen(request: pytest.FixtureRequest) -> Iterator[Reopen]:
    """Each kind of store."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: store
        return
    engine = sa.create_engine(sqlalchemy_url(request.getfixturevalue("migrated_database_url")))
    yield lambda: LiveRunStore(engine, DISPATCHER)
    engine.dispose()


def a_run(**changes: Any) -> LiveRun:
    """A run that waits."""
    fields: dict[str, Any] = {"symbols": ("AAPL", "BRK.B"), "level": Priority.HIGH, "since": 7, "timeout_seconds": 60.5}
    return waiting(**(fields | {"trace": TRACEPARENT} | changes))


def test_an_empty_store_begins_at_the_beginning(reopen: Reopen) -> None:
    """Nothing was processed, nothing is live."""
    assert reopen().load() == (0, [])


def test_what_was_committed_comes_back(reopen: Reopen) -> None:
    """Every field of a run survives, a due time too."""
    first, retrying = a_run(), a_run(state=RunState.RETRYING, due_at=NOW, attempt=2, trace=None)
    reopen().commit([first, retrying], [], after=0, position=9)

    position, runs = reopen().load()

    assert position == 9
    assert {run.task_id: run for run in runs} == {first.task_id: first, retrying.task_id: retrying}


def a_branch(symbol: str | None, **changes: Any) -> LiveRun:
    """A member of a stage in which nothing is as it is by default."""
    fields: dict[str, Any] = {
        "id": uuid4(),
        "worker": "executor@test",
        "resumed": True,
        "due_at": NOW,
        "sent_at": NOW,
        "sent_level": Priority.HIGH,
        "started_at": NOW,
        "spent_seconds": 1.25,
        "asked_at": NOW,
        "yields_to": str(uuid4()),
        "forced": True,
        "preemptions": 2,
        "opening": 3,
        "step": "look",
        "symbol": symbol,
        "limits": {"venue:alpaca": 5, "gpu": 1},
        "max_parallel": 7,
        "joined": True,
    }
    return a_run(**(fields | changes))


def test_every_field_comes_back(reopen: Reopen) -> None:
    """Whatever it holds: a field that is new has its column, and its value in this test."""
    branch = a_branch("BRK.B", state=RunState.CANCELLING)
    left = {field.name for field in msgspec.structs.fields(LiveRun) if getattr(branch, field.name) == field.default}
    reopen().commit([branch], [], after=0, position=9)
    assert (reopen().load(), left) == ((9, [branch]), set())


def test_branches_of_one_run_have_rows_of_their_own(reopen: Reopen) -> None:
    """Beside that of the run itself, which joins them; each changes and ends for itself."""
    run = a_run(state=RunState.JOINING)
    first, second = (a_branch(each, task_id=run.id, state=RunState.PARKED) for each in ("AAPL", None))
    reopen().commit([run, first, second], [], after=0, position=7)
    assert {row.id: row for row in reopen().load()[1]} == {run.id: run, first.id: first, second.id: second}

    first.state = RunState.RUNNING
    reopen().commit([first], [second.id], after=7, position=8)
    assert {row.id: row for row in reopen().load()[1]} == {run.id: run, first.id: first}


def test_what_was_sent_is_written_without_a_new_position(reopen: Reopen) -> None:
    """The dispatcher writes down what it sent when nothing new has happened."""
    run = a_run()
    reopen().commit([run], [], after=0, position=7)
    sent = a_run(task_id=run.task_id, sent_at=NOW)
    reopen().commit([sent], [], after=7, position=7)

    assert reopen().load() == (7, [sent])


def test_the_paused_levels_are_kept_until_others_are_named(reopen: Reopen) -> None:
    """They are committed with the position, and stay as they are when a commit does not speak of them."""
    assert not reopen().paused()
    reopen().commit([], [], after=0, position=7, paused={Priority.HIGH, Priority.LOW})
    reopen().commit([a_run()], [], after=7, position=8)
    assert reopen().paused() == {Priority.HIGH, Priority.LOW}
    reopen().commit([], [], after=8, position=9, paused={Priority.LOW})
    assert reopen().paused() == {Priority.LOW}
    reopen().commit([], [], after=9, position=10, paused=())
    assert not reopen().paused()


def test_a_replica_that_is_behind_pauses_nothing(reopen: Reopen) -> None:
    """Nor does it resume."""
    reopen().commit([], [], after=0, position=7, paused={Priority.HIGH})
    with pytest.raises(AlreadyProcessed):
        reopen().commit([], [], after=3, position=8, paused=())
    assert reopen().paused() == {Priority.HIGH}


def test_an_ended_run_is_gone(reopen: Reopen) -> None:
    """An ended run leaves no row; ending one that never had a row is fine."""
    run = a_run()
    reopen().commit([run], [], after=0, position=7)
    reopen().commit([], [run.id, uuid4()], after=7, position=8)

    assert reopen().load() == (8, [])


@pytest.mark.parametrize("position", [7, 9, 12], ids=["without a move", "to the same", "further"])
def test_a_replica_that_is_behind_writes_nothing(reopen: Reopen, position: int) -> None:
    """One that was paused while another led cannot bring back a run that has ended since, and learns of it."""
    run = a_run()
    reopen().commit([run], [], after=0, position=7)
    reopen().commit([], [run.task_id], after=7, position=9)

    with pytest.raises(AlreadyProcessed):
        reopen().commit([run], [], after=7, position=position)
    assert reopen().load() == (9, [])
